"""A broker whose disk was full: it refuses for good, says so, and is started again by itself once there is space."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from nats.errors import Error as BrokerError
from upline.attribution.v1 import click_pb2, link_pb2

from chassis.embedded.nats import Nats, stream_fault
from chassis.embedded.state import UNPRIVILEGED_UID, StateDirectory
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from cli.client import Addresses, Client
from cli.doctor.examination import check_stack
from cli.stack.health import health
from tests.e2e.stacks import up
from tests.e2e.world import World, open_program
from tests.faults.killing import nats_url, postgres_url
from tests.flow import Flow, becomes
from tests.running import DEADLINE_SECONDS

SPEC = StreamSpec("FULL_TEST", "full.test", ("reader",), 1024**3)
DISK_MIB = 48
LEFT_BYTES = 300_000
HEALTH_CHECK = Path(__file__).resolve().parents[2] / "deploy" / "nats" / "health.sh"
HEAL_SECONDS = 90.0

pytestmark = pytest.mark.needs("mount")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory in which the broker has a small disk of its own."""
    tmp_path.chmod(0o755)
    state = tmp_path / "state"
    disk = state / "nats"
    disk.mkdir(parents=True)
    owner = UNPRIVILEGED_UID if os.geteuid() == 0 else os.geteuid()
    options = f"size={DISK_MIB}m,mode=700,uid={owner}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    yield state
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, left_bytes: int = LEFT_BYTES) -> Path:
    """Leaves next to nothing free; returns the file that takes the space."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - left_bytes))
    return ballast


async def test_readiness_says_that_a_broker_stores_nothing(state: Path) -> None:
    """A broker whose disk is full answers whatever else it is asked."""
    directory = StateDirectory(state)
    broker = Nats(directory)
    broker.start()
    stream = await Stream.connect(broker.url, "full", specs=[SPEC])
    try:
        assert await stores(stream)
        ballast = fill(broker.store)
        await publish_until_refused(stream)
        ballast.unlink()
        assert not await stores(stream)
        assert "no space left" in await asyncio.to_thread(stream_fault, broker.monitor_url)
        await stream.ready([])
        assert broker.running
    finally:
        await stream.close()
        broker.stop()
        directory.close()


@pytest.mark.needs("wget")
async def test_the_containers_check_ends_a_broker_that_stores_nothing(state: Path) -> None:
    """The check ends the broker once it has space again; its restart policy, here the test, starts it."""
    directory = StateDirectory(state)
    broker = Nats(directory)
    broker.start()
    stream = await Stream.connect(broker.url, "full", specs=[SPEC])
    check = state / "health.sh"
    text = HEALTH_CHECK.read_text()
    for what, here in (
        ("127.0.0.1:8222", f"127.0.0.1:{broker.monitor_port}"),
        ("/tmp/was-well", str(state / "was-well")),
        ("65536", "1024"),
        ("df -kP /data", f"df -kP {broker.store}"),
        ("kill -TERM 1", f"kill -TERM {broker.pid}"),
    ):
        assert what in text
        text = text.replace(what, here)
    check.write_text(text)

    async def code() -> int:
        return (await asyncio.to_thread(subprocess.run, ["/bin/sh", str(check)], capture_output=True)).returncode

    async def running() -> bool:
        return broker.running

    try:
        assert await code() == 0
        ballast = fill(broker.store)
        await publish_until_refused(stream)
        assert (await code(), broker.running) == (1, True)
        ballast.unlink()
        assert await code() == 1
        await becomes(running, False)
        broker.start()
        assert await code() == 0
        await becomes(partial(stores, stream), True)
    finally:
        await stream.close()
        broker.stop()
        directory.close()


async def publish_until_refused(stream: Stream) -> None:
    """Publishes more than there is space for."""
    too_many = [Message(SPEC.subject, uuid4().hex, "test", bytes(50_000)) for _ in range(2 * LEFT_BYTES // 50_000)]
    with pytest.raises(BrokerError):
        await stream.publish_all(too_many)


async def stores(stream: Stream) -> bool:
    """Whether readiness says that the broker stores."""
    try:
        await stream.ready([SPEC])
    except (BrokerError, OSError):
        return False
    return True


async def test_clicks_are_taken_again_once_there_is_space(state: Path) -> None:
    with up(state) as stack:
        async with Client(Addresses(**stack.published["services"])) as client:
            world = await open_program(
                client, Flow(postgres_url(stack), nats_url(stack)), "three-levels.yaml", "full-disk"
            )
            await world.enrol("maria")
            link_id = await make_link(world)
            click = partial(record_clicks, world, link_id, 500)
            assert await record_clicks(world, link_id, 1) == grpc.StatusCode.OK
            # Less than the clicks below take, also where the one above leaves the disk meanwhile.
            ballast = fill(state / "nats", left_bytes=8_192)
            await becomes(fails(click), True)
            await becomes(partial(click_health, world), "NOT_SERVING")
            assert {"streams", "broker of attribution"} <= await asyncio.to_thread(wrong, state)
            ballast.unlink()
            await becomes(click, grpc.StatusCode.OK, HEAL_SECONDS)
            await becomes(partial(click_health, world), "SERVING")
            assert not {"streams", "broker of attribution"} & await asyncio.to_thread(wrong, state)
        assert "there is space" in stack.log.read_text()


async def make_link(world: World) -> str:
    """A link of `maria`."""
    request = link_pb2.CreateLinkRequest(
        request_id=uuid4().hex,
        program_id=world.program_id,
        participant_id="maria",
        destination_url="https://shop.example/",
    )
    return str((await world.client.links.CreateLink(request, timeout=DEADLINE_SECONDS)).link.link_id)


async def record_clicks(world: World, link_id: str, count: int) -> grpc.StatusCode:
    """Records clicks in one message; the code of the answer, of the first try."""
    clicks = [
        click_pb2.Click(program_id=world.program_id, link_id=link_id, visitor_id=f"{uuid4().hex:->100}")
        for _ in range(count)
    ]
    async with grpc.aio.insecure_channel(world.client.addresses.attribution) as channel:
        call = channel.unary_unary(
            "/upline.attribution.v1.ClickService/RecordClicks",
            request_serializer=click_pb2.RecordClicksRequest.SerializeToString,
        )
        return await call(click_pb2.RecordClicksRequest(clicks=clicks), timeout=DEADLINE_SECONDS).code()


def fails(call: Callable[[], Awaitable[grpc.StatusCode]]) -> Callable[[], Awaitable[bool]]:
    """Whether the call is not answered well."""

    async def failed() -> bool:
        return await call() != grpc.StatusCode.OK

    return failed


async def click_health(world: World) -> str:
    """The health of ClickService, as attribution tells it."""
    service = click_pb2.DESCRIPTOR.services_by_name["ClickService"].full_name
    return await asyncio.to_thread(health, world.client.addresses.attribution, name=service)


def wrong(state: Path) -> set[str]:
    """The names of the checks that the doctor finds wrong."""
    return {finding.check for finding in check_stack(state) if not finding.ok}
