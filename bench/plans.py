"""Many programs with many versions: the memory of the process that settles for all of them, and how soon it starts."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from upline.attribution.v1 import conversion_pb2, participant_pb2, program_pb2
from upline.rewards.v1 import plan_pb2, reward_pb2
from upline.type.v1 import asset_pb2

from bench.figures import Figure
from bench.isolation import peak_mib
from bench.latency import order_of, run_stack
from cli.client import Addresses, Client
from cli.stack.services import ServiceProcess
from cli.stack.supervisor import Stack

PROGRAMS = 1_000
VERSIONS = 10
RULES = 5
AT_ONCE = 6
CALL_SECONDS = 60.0
REFUSED_SECONDS = 0.3
SETTLE_SECONDS = 300.0
MOST_MIB = 300
START_SECONDS = 5.0


async def measure() -> list[Figure]:
    """Measures plans_*."""
    with run_stack() as stack:
        rewards = next(each for each in stack.processes if each.name == "rewards")
        async with Client(Addresses(**stack.layout.addresses())) as client:
            await _at_once(_program(client, number) for number in range(PROGRAMS))
            await _settle_all(client, "first")
            published = _peak(rewards)
            start_seconds = await _restart(stack, rewards)
            started = _peak(rewards)
            await _settle_all(client, "second")
            settled = _peak(rewards)
    note = f"{PROGRAMS} programs of {VERSIONS} versions with {RULES} rules"
    return [
        Figure("plans_memory_published", (published,), "MiB", f"< {MOST_MIB}", f"{note}, an order of each"),
        Figure("plans_start", (start_seconds,), "s", f"≤ {START_SECONDS:g}", "from the new process to SERVING"),
        Figure("plans_memory_started", (started,), "MiB", f"< {MOST_MIB}"),
        Figure("plans_memory_settled", (settled,), "MiB", f"< {MOST_MIB}", "an order of each program after the start"),
    ]


async def _at_once(calls: Iterable[Awaitable[None]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[None]) -> None:
        async with slots:
            await call

    await asyncio.gather(*map(one, calls))


def _plan(version: int) -> plan_pb2.Plan:
    rules = [
        plan_pb2.Rule(
            rule_id=f"rule-{number}",
            on=["order"],
            asset="USD",
            to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3)),
            amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["1", "0.5", f"0.0{version}"])),
            when=f"event.amount_minor > {number} && !('blocked' in buyer.attributes)",
        )
        for number in range(RULES)
    ]
    return plan_pb2.Plan(assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)], rules=rules)


async def _program(client: Client, number: int) -> None:
    name = f"p{number}"
    policy = program_pb2.AttributionPolicy(
        touch=program_pb2.TOUCH_LAST, binding=program_pb2.BINDING_LIFETIME, bindable=program_pb2.BINDABLE_UNBOUND
    )
    policy.window.FromSeconds(86_400)
    program = program_pb2.Program(program_id=name, currency_code="USD", policy=policy)
    await client.programs.CreateProgram(
        program_pb2.CreateProgramRequest(request_id=uuid4().hex, program=program), timeout=CALL_SECONDS
    )
    drafts = [
        participant_pb2.ParticipantDraft(participant_id="sponsor"),
        participant_pb2.ParticipantDraft(participant_id="buyer", sponsor_id="sponsor"),
    ]
    await client.participants.EnrollParticipants(
        participant_pb2.EnrollParticipantsRequest(request_id=uuid4().hex, program_id=name, participants=drafts),
        timeout=CALL_SECONDS,
    )
    for version in range(1, VERSIONS + 1):
        request = plan_pb2.PublishPlanRequest(
            request_id=uuid4().hex, program_id=name, plan=_plan(version), currency_code="USD"
        )
        while True:
            try:
                await client.plans.PublishPlan(request, timeout=CALL_SECONDS)
                break
            except grpc.aio.AioRpcError as error:  # more at once than are compiled at once
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(REFUSED_SECONDS)


async def _settle_all(client: Client, run: str) -> None:
    """Records an order of each program, and waits until all are settled."""

    async def one(number: int) -> None:
        draft = order_of("buyer")
        draft.conversion_id = f"{run}-{number}"
        request = conversion_pb2.RecordConversionRequest(program_id=f"p{number}", conversion=draft)
        await client.conversions.RecordConversion(request, timeout=CALL_SECONDS)
        ends = time.perf_counter() + SETTLE_SECONDS
        listed = reward_pb2.ListRewardsRequest(program_id=f"p{number}", conversion_id=draft.conversion_id, page_size=1)
        while not (await client.rewards.ListRewards(listed, timeout=CALL_SECONDS)).rewards:
            if time.perf_counter() > ends:
                raise TimeoutError(f"{draft.conversion_id} is not settled")
            await asyncio.sleep(0.05)

    await _at_once(map(one, range(PROGRAMS)))


async def _restart(stack: Stack, process: ServiceProcess) -> float:
    """Kills a process; returns how long the next one takes until it serves."""
    before = _pid(process)
    os.kill(before, signal.SIGKILL)
    while process.child is None or _pid(process) == before:
        await asyncio.sleep(0.005)
    began = time.perf_counter()
    async with grpc.aio.insecure_channel(stack.layout.addresses()["rewards"]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.perf_counter() - began < CALL_SECONDS:
            with suppress(grpc.aio.AioRpcError):
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return time.perf_counter() - began
            await asyncio.sleep(0.02)
    raise TimeoutError("rewards does not start")


def _pid(process: ServiceProcess) -> int:
    if process.child is None:
        raise RuntimeError(f"{process.name} does not run")
    return process.child.process.pid


def _peak(process: ServiceProcess) -> float:
    return peak_mib(_pid(process))
