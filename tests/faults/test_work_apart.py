"""Each class of work has connections of its own: calls that take all of theirs keep nobody else from working."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from upline.rewards.v1 import wallet_pb2

from chassis import readiness
from chassis.clock import ManualClock
from chassis.database import SHARES, Work
from chassis.readiness import Probe, Readiness
from services.rewards.__main__ import RewardsService
from tests.conftest import Servers
from tests.e2e.conftest import OpenProgram
from tests.errors import reason_of, status_of
from tests.running import DEADLINE_SECONDS, Running, running

ROUNDS = 2
"""So many rounds of each service's probes begin and end while connections are held."""
SERVICES = 3


@asynccontextmanager
async def all_taken(service: Running) -> AsyncIterator[None]:
    """Holds all connections that a service has for calls."""
    async with AsyncExitStack() as stack:
        for _ in range(SHARES[Work.CALLS].connections):
            conn = await stack.enter_async_context(service.service.database.transaction())
            await conn.exec_driver_sql("SELECT 1")
        yield


async def probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns when ROUNDS of the probes of databases have ended."""
    rounds = asyncio.Semaphore(0)
    check = Readiness._check

    async def counted(self: Readiness, probes: Sequence[Probe]) -> bool:
        well = await check(self, probes)
        if any(each.name == "database" for each in probes):
            rounds.release()
        return well

    monkeypatch.setattr(Readiness, "_check", counted)
    for _ in range(ROUNDS * SERVICES):
        await rounds.acquire()


async def is_serving(service: Running) -> bool:
    """Whether the process as a whole says SERVING."""
    stub = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_without_a_connection_for_calls_orders_are_settled_and_told_and_health_is_right(
    opened: OpenProgram, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 3.0)
    world = await opened("three-levels.yaml")
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    async with all_taken(rewards):
        await world.buy("paid-all-the-same", "vera", 10_000)
        await world.drained()
        assert len(await world.inbox("maria")) == 1
        await probed(monkeypatch)
        assert await is_serving(rewards)
    assert await world.wallet("maria") == {"USD": (0, 500)}


async def test_connections_in_use_are_seen_from_outside(servers: Servers, clock: ManualClock) -> None:
    def seen() -> float | None:
        return REGISTRY.get_sample_value("upline_connections_in_use", {"service": "rewards", "work": "calls"})

    async with running(RewardsService(servers.settings("rewards"), clock)) as of_its_own:
        async with all_taken(of_its_own):
            assert seen() == SHARES[Work.CALLS].connections
        assert seen() == 0


async def test_a_call_that_gets_no_connection_is_told_to_come_again(
    opened: OpenProgram, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened("three-levels.yaml")
    async with all_taken(rewards):
        monkeypatch.setattr(rewards.service.database.engine.pool, "_timeout", 0.1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.client.wallets.GetWallet(
                wallet_pb2.GetWalletRequest(program_id=world.program_id, participant_id="vera"),
                timeout=DEADLINE_SECONDS,
            )
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_BUSY")
    retry = error_details_pb2.RetryInfo()
    assert status_of(caught.value).details[-1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
