"""The redirect is a process of its own: what visitors do to it, and its death, are nothing to callers of gRPC."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import grpc
import pytest
from upline.attribution.v1 import program_pb2, program_pb2_grpc

from tests.e2e.stacks import READY_SECONDS, Up, alive, up, upline

PROGRAM = "three-levels"
CALL_SECONDS = 10.0
VISITS = 10_000
VISITORS = 20
SHARE = 0.2
"""The part of all services' CPU time that attribution may spend while visitors flood the redirect; it was more than
nine tenths while that was a part of it. What is left are this test's own calls, health and the relay."""
CALL_PAUSE_SECONDS = 0.05


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack with a program."""
    state = Path(tmp_path_factory.mktemp("redirect")) / "upline"
    with up(state) as running:
        upline("apply", f"programs/{PROGRAM}.yaml", "--json", state=state)
        yield running
        running.stop()


@asynccontextmanager
async def calling(stack: Up) -> AsyncIterator[list[grpc.StatusCode]]:
    """Calls attribution again and again meanwhile, without retries; yields what came of each call."""
    outcomes: list[grpc.StatusCode] = []
    async with grpc.aio.insecure_channel(stack.published["services"]["attribution"]) as channel:
        stub = program_pb2_grpc.ProgramServiceStub(channel)

        async def call() -> None:
            while True:
                request = program_pb2.GetProgramRequest(program_id=PROGRAM)
                outcomes.append(await stub.GetProgram(request, timeout=CALL_SECONDS).code())
                await asyncio.sleep(CALL_PAUSE_SECONDS)

        task = asyncio.create_task(call())
        try:
            yield outcomes
        finally:
            task.cancel()


async def test_a_flood_of_unknown_links_costs_attribution_nothing(stack: Up) -> None:
    links = iter(f"{number:018}" for number in range(VISITS))
    before = cpu_ticks(stack)
    async with calling(stack) as outcomes, aiohttp.ClientSession() as session:

        async def visit() -> None:
            for link in links:
                url = f"{stack.published['redirect_url']}/r/{PROGRAM}/{link}"
                async with session.get(url, allow_redirects=False) as response:
                    assert response.status == 404

        await asyncio.gather(*(visit() for _ in range(VISITORS)))
    spent = {service: ticks - before[service] for service, ticks in cpu_ticks(stack).items()}
    assert outcomes
    assert set(outcomes) == {grpc.StatusCode.OK}
    assert spent["services.attribution"] <= SHARE * sum(spent.values()), spent


async def test_the_redirects_death_fails_no_call_and_it_comes_back(stack: Up) -> None:
    url = stack.published["redirect_url"]
    (killed,) = listening(stack, int(urlsplit(url).port or 0))
    others = stack.children().keys() - {killed}
    async with calling(stack) as outcomes, aiohttp.ClientSession() as session:
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(READY_SECONDS):
            while await asyncio.to_thread(alive, killed) or not await answers(session, f"{url}/healthz"):
                await asyncio.sleep(CALL_PAUSE_SECONDS)
    assert outcomes
    assert set(outcomes) == {grpc.StatusCode.OK}
    assert others <= stack.children().keys()
    assert stack.published["redirect_url"] == url


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether something answers there, and is well."""
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


def cpu_ticks(stack: Up) -> dict[str, int]:
    """The CPU time of each service process so far, by its module."""
    spent = {}
    for pid, command in stack.children().items():
        for word in command.split():
            if word.startswith("services."):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                spent[word] = int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return spent


def listening(stack: Up, port: int) -> set[int]:
    """The children of the stack that listen on a port."""
    sockets = {
        f"socket:[{fields[9]}]"
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    return {
        pid
        for pid in stack.children()
        for each in Path(f"/proc/{pid}/fd").iterdir()
        if each.is_symlink() and os.readlink(each) in sockets
    }
