"""Clicks: durable answers against an echo of the same message, with the broker syncing every message."""

import asyncio
import time
from uuid import uuid4

import grpc
import nats
from upline.attribution.v1 import (
    click_pb2,
    link_pb2,
    link_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    program_pb2,
    program_pb2_grpc,
)

from bench.child import serving
from bench.figures import Figure, interleaved, ratios
from bench.load import generator, requests_per_second
from bench.servers import Servers
from chassis.ids import new_id

IN_FLIGHT = 256
UNARY_CALLS = 12_000
BATCH_CLICKS = 500
BATCH_CALLS = 240
BATCHES_IN_FLIGHT = 8
ROUNDS = 5
PROGRAM = "bench"


async def measure(servers: Servers) -> list[Figure]:
    """Measures intake_unary_durable_vs_echo, intake_batch_durable_vs_echo and their absolute rates."""
    environment = servers.environment(servers.database("intake"), "attribution")
    with serving("bench.intake_server", environment) as port, serving("bench.echo_server", {}) as echo_port:
        link_id = await create_link(port)
        click = click_pb2.RecordClickRequest(click=make_click(link_id)).SerializeToString()
        batch = click_pb2.RecordClicksRequest(clicks=[make_click(link_id) for _ in range(BATCH_CLICKS)])
        body = batch.SerializeToString()
        service = "upline.attribution.v1.ClickService"

        before = await _stored_messages(servers)
        unary, unary_echo = await interleaved(
            ROUNDS,
            lambda _: requests_per_second(
                port, f"{service}/RecordClick", click, count=UNARY_CALLS, in_flight=IN_FLIGHT
            ),
            lambda _: requests_per_second(echo_port, "bench.Echo/One", click, count=UNARY_CALLS, in_flight=IN_FLIGHT),
        )
        batches, batches_echo = await interleaved(
            ROUNDS,
            lambda _: requests_per_second(
                port, f"{service}/RecordClicks", body, count=BATCH_CALLS, in_flight=BATCHES_IN_FLIGHT
            ),
            lambda _: requests_per_second(
                echo_port, "bench.Echo/Batch", body, count=BATCH_CALLS, in_flight=BATCHES_IN_FLIGHT
            ),
        )
        await _assert_recorded(servers, before)
    note = f"load generator: {generator()}"
    return [
        Figure("intake_unary_durable_vs_echo", ratios(unary, unary_echo), "ratio", "≥ 0.7", note),
        Figure("intake_unary_durable", tuple(unary), "clicks/s", note=note),
        Figure("intake_batch_durable_vs_echo", ratios(batches, batches_echo), "ratio", "≥ 0.33", note),
        Figure("intake_batch_durable", tuple(each * BATCH_CLICKS for each in batches), "clicks/s", note=note),
    ]


def make_click(link_id: str) -> click_pb2.Click:
    return click_pb2.Click(click_id=new_id().bytes, program_id=PROGRAM, link_id=link_id, visitor_id=uuid4().hex)


async def _stored_messages(servers: Servers) -> int:
    client = await nats.connect(servers.nats.url)
    info = await client.jetstream().stream_info("CLICKS")
    await client.close()
    return info.state.last_seq


async def _assert_recorded(servers: Servers, before: int) -> None:
    """Raises if not every click that was sent is on disk: h2load does not read gRPC statuses."""
    wanted = (ROUNDS + 1) * (UNARY_CALLS + BATCH_CALLS * BATCH_CLICKS)
    client = await nats.connect(servers.nats.url)
    subscription = await client.jetstream().pull_subscribe_bind(consumer="click_writer", stream="CLICKS")
    stored = 0
    deadline = time.monotonic() + 60
    while stored < wanted and time.monotonic() < deadline:
        for message in await subscription.fetch(64, timeout=5):
            sequence = message.metadata.sequence.stream
            stored += len(click_pb2.ClickBatch.FromString(message.data).clicks) if sequence > before else 0
            await message.ack()
    await client.close()
    if stored != wanted:
        raise RuntimeError(f"{wanted} clicks were sent, {stored} are on the stream: the rates would be of refusals")


async def create_link(port: int) -> str:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 30)
        policy = program_pb2.AttributionPolicy(
            touch=program_pb2.TOUCH_LAST, binding=program_pb2.BINDING_LIFETIME, bindable=program_pb2.BINDABLE_UNBOUND
        )
        policy.window.FromSeconds(86_400)
        program = program_pb2.Program(
            program_id=PROGRAM, currency_code="USD", policy=policy, allowed_hosts=["shop.example"]
        )
        await program_pb2_grpc.ProgramServiceStub(channel).CreateProgram(
            program_pb2.CreateProgramRequest(request_id=uuid4().hex, program=program), timeout=10
        )
        await participant_pb2_grpc.ParticipantServiceStub(channel).EnrollParticipant(
            participant_pb2.EnrollParticipantRequest(
                request_id=uuid4().hex,
                program_id=PROGRAM,
                participant=participant_pb2.ParticipantDraft(participant_id="olga"),
            ),
            timeout=10,
        )
        answer = await link_pb2_grpc.LinkServiceStub(channel).CreateLink(
            link_pb2.CreateLinkRequest(
                request_id=uuid4().hex,
                program_id=PROGRAM,
                participant_id="olga",
                destination_url="https://shop.example/",
            ),
            timeout=10,
        )
        link_id: str = answer.link.link_id
        return link_id
