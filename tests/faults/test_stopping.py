"""A server that stops: what was begun is finished, and nobody is told CANCELLED, which no client repeats."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from pydantic import SecretStr
from upline.notify.v1 import notify_pb2, notify_pb2_grpc

from chassis import server as chassis_server
from chassis.handlers import Context
from chassis.server import Server
from chassis.settings import ServiceSettings
from services.notify.rpc.classes import CLASSES
from tests.conftest import SECRET
from tests.flow import becomes
from tests.running import DEADLINE_SECONDS

CALLERS = 16
PER_CALLER = 5
"""Calls that a caller has under way at once: some arrive in whatever moment the server stops."""
STOPS = 8
ENOUGH = 300
"""Calls answered before the server stops."""
REQUEST = notify_pb2.GetPreferencesRequest(program_id="p", participant_id="ann")


@dataclass
class Preferences:
    """A service whose calls take as long as a test wants."""

    service = notify_pb2.DESCRIPTOR.services_by_name["PreferenceService"]

    free: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0

    async def GetPreferences(  # noqa: N802 - as in the contract
        self, _request: notify_pb2.GetPreferencesRequest, _context: Context
    ) -> notify_pb2.GetPreferencesResponse:
        """Answers when the test lets it."""
        self.begun += 1
        await self.free.wait()
        return notify_pb2.GetPreferencesResponse()

    async def UpdatePreferences(  # noqa: N802 - as in the contract
        self, _request: notify_pb2.UpdatePreferencesRequest, _context: Context
    ) -> notify_pb2.UpdatePreferencesResponse:
        """A method of the contract that no test here calls."""
        raise AssertionError("called all the same")

    async def calls(self) -> int:
        """How many calls have begun."""
        return self.begun


@asynccontextmanager
async def serving(preferences: Preferences, notice_seconds: float = 0.0) -> AsyncIterator[Server]:
    """A server that answers; the test stops it."""
    settings = ServiceSettings(database_url="", nats_url="", secret=SecretStr(SECRET))
    server = Server(settings, [])
    server.notice_seconds = notice_seconds
    server.add(preferences, CLASSES)
    await server.start()
    health = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        health.cancel()


async def end(server: Server) -> None:
    """Stops a server as a service's process does."""
    await server.leave()
    await server.stop()


async def outcome(call: Callable[[], object]) -> str:
    """The name of the code of a call, and the reason where a server gave one."""
    try:
        await call()  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        info = error_details_pb2.ErrorInfo()
        if status is not None and status.details[0].Unpack(info):
            return f"{error.code().name} {info.reason}"
        return str(error.code().name)
    return "OK"


def stub(channel: grpc.aio.Channel) -> notify_pb2_grpc.PreferenceServiceStub:
    """The service of this test."""
    return notify_pb2_grpc.PreferenceServiceStub(channel)


async def test_nobody_is_told_cancelled_whenever_the_server_stops() -> None:
    codes: Counter[str] = Counter()

    async def caller(channel: grpc.aio.Channel) -> None:
        found = "OK"
        while found == "OK":
            found = await outcome(lambda: stub(channel).GetPreferences(REQUEST, timeout=DEADLINE_SECONDS))
            codes[found.split()[0]] += 1

    for _ in range(STOPS):
        preferences = Preferences()
        preferences.free.set()
        async with serving(preferences) as server:
            channels = [
                grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)])
                for _ in range(CALLERS)
            ]
            working = [asyncio.create_task(caller(each)) for each in channels for _ in range(PER_CALLER)]
            while preferences.begun < ENOUGH:
                await asyncio.sleep(0)
            await end(server)
            await asyncio.gather(*working)
            for each in channels:
                await each.close()
    assert codes.keys() == {"OK", "UNAVAILABLE"}


async def test_a_call_in_flight_is_finished_and_one_that_comes_late_is_sent_elsewhere() -> None:
    preferences = Preferences()
    async with serving(preferences) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        early = asyncio.create_task(outcome(lambda: stub(channel).GetPreferences(REQUEST, timeout=DEADLINE_SECONDS)))
        await becomes(preferences.calls, 1)
        leaving = asyncio.create_task(end(server))
        late = await outcome(lambda: stub(channel).GetPreferences(REQUEST, timeout=DEADLINE_SECONDS))
        preferences.free.set()
        assert (await early, late) == ("OK", "UNAVAILABLE STOPPING")
        await leaving


async def test_a_call_that_does_not_end_in_time_is_told_unavailable_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chassis_server, "DRAIN_SECONDS", 0.1)
    preferences = Preferences()
    async with serving(preferences) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stuck = asyncio.create_task(outcome(lambda: stub(channel).GetPreferences(REQUEST, timeout=DEADLINE_SECONDS)))
        await becomes(preferences.calls, 1)
        await end(server)
        assert await stuck == "UNAVAILABLE STOPPING"


async def test_clients_are_warned_while_calls_are_still_served() -> None:
    """Whoever watches health hears of it before anything is refused."""
    preferences = Preferences()
    preferences.free.set()
    async with (
        serving(preferences, notice_seconds=DEADLINE_SECONDS) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        while (await watch.read()).status != health_pb2.HealthCheckResponse.SERVING:
            pass
        leaving = asyncio.create_task(server.leave())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        served = await outcome(lambda: stub(channel).GetPreferences(REQUEST, timeout=DEADLINE_SECONDS))
        assert (served, leaving.done()) == ("OK", False)
        leaving.cancel()
        await asyncio.wait([leaving])
        server.notice_seconds = 0.0
        await server.stop()
