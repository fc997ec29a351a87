"""Whether a server can do its work: it asks its probes again and again, and health tells clients what they found."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from chassis.tasks import run_all
from chassis.telemetry import BROKER_READY
from chassis.topology import BROKER_NAME, CONSUMING_NAME

READINESS_SECONDS = 2.0
"""The time between two rounds of the probes; a probe that failed is asked ten times as often."""
PROBE_SECONDS = 10.0
"""A probe that takes longer has failed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """Something that must work for services to be SERVING."""

    name: str
    check: Callable[[], Awaitable[None]]


class Readiness:
    """The probes of one server, and the health of its gRPC services."""

    def __init__(self, probes: Sequence[Probe], broker: Probe | None) -> None:
        """All gRPC services of the server need all `probes`. Some need the `broker` besides; health tells of it under
        BROKER_NAME."""
        self.health = HealthServicer()
        self.port = 0
        """The port of the server, for log lines."""
        self._probes = probes
        self._broker = [broker] if broker else []
        self._consuming: list[Probe] = []
        self._well = self._broker_well = self._consuming_well = False
        self.names: list[str] = []
        """The gRPC services of which health tells, besides the whole server under the empty name."""
        self._needing_broker: set[str] = set()
        self._faults: dict[str, str] = {}
        """The last fault of each probe."""

    def add(self, name: str, *, needs_broker: bool = False) -> None:
        """Makes health tell of a gRPC service."""
        self.names.append(name)
        if needs_broker:
            self._needing_broker.add(name)

    def watch(self, consumer: Probe) -> None:
        """Makes health tell under CONSUMING_NAME whether the events that wait for the process are worked on. No gRPC
        service needs that: callers are answered all the same."""
        self._consuming.append(consumer)

    async def run(self) -> None:
        """Keeps health in step with the probes until cancelled."""
        # Not a TaskGroup: that one cancels once, and a library beneath a probe may lose it.
        await run_all(
            self._follow_probes(),
            *([self._follow_broker()] if self._broker else []),
            *([self._follow_consuming()] if self._consuming else []),
        )

    async def leave(self) -> None:
        """Says NOT_SERVING from now on, whatever the probes find."""
        await self.health.enter_graceful_shutdown()

    async def report(self) -> None:
        """Tells health what the probes found last."""
        for name in ("", *self.names):
            await self._set(name, self._well and (self._broker_well or name not in self._needing_broker))
        if self._broker:
            await self._set(BROKER_NAME, self._broker_well)
        if self._consuming:
            await self._set(CONSUMING_NAME, self._well and self._broker_well and self._consuming_well)

    async def _follow_probes(self) -> None:
        while True:
            was, self._well = self._well, await self._check(self._probes)
            if self._well != was:
                await self.report()
                log.info("serving" if self._well else "not serving", port=self.port)
            await _pause(self._well)

    async def _follow_broker(self) -> None:
        """Beside the other probes: a broker that does not answer holds none of them up."""
        while True:
            was, self._broker_well = self._broker_well, await self._check(self._broker)
            BROKER_READY.set(self._broker_well)
            if self._broker_well != was:
                await self.report()
                log.info("the broker is right" if self._broker_well else "the broker is not right", port=self.port)
            await _pause(self._broker_well)

    async def _follow_consuming(self) -> None:
        while True:
            was, self._consuming_well = self._consuming_well, await self._check(self._consuming)
            if self._consuming_well != was:
                await self.report()
                log.info("events are worked on" if self._consuming_well else "events get nowhere", port=self.port)
            await _pause(self._consuming_well)

    async def _check(self, probes: Sequence[Probe]) -> bool:
        for probe in probes:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await probe.check()
            except Exception as error:
                fault = str(error) or type(error).__name__
                if self._faults.get(probe.name) != fault:
                    self._faults[probe.name] = fault
                    log.warning("not ready", probe=probe.name, error=error)
                return False
            self._faults.pop(probe.name, None)
        return True

    async def _set(self, name: str, serving: bool) -> None:
        answer = health_pb2.HealthCheckResponse
        await self.health.set(name, answer.SERVING if serving else answer.NOT_SERVING)


async def _pause(well: bool) -> None:
    await asyncio.sleep(READINESS_SECONDS if well else READINESS_SECONDS / 10)
