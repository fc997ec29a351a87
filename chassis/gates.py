"""Limits of calls at once, by what calls cost: callers of dear calls wait for one another, and for nobody else.

Calls of a class share the connections of all calls, so the limits of dear classes leave most of these to ordinary
calls, however many dear ones come.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from google.rpc import code_pb2

from chassis.errors import UplineError
from chassis.telemetry import CALLS_UNDER_WAY, CALLS_WAITING, REFUSED_CALLS


class CallClass(StrEnum):
    """The classes of calls. A service states the class of each of its methods."""

    ORDINARY = "ordinary"
    """Calls whose cost is bounded by their request and a page of answers."""
    CLICKS = "clicks"
    """Calls that wait for the broker's disk and hardly ever for the database."""
    DECIDING = "deciding"
    """Calls that compile a plan or decide by one, in this process; their cost grows with the plan."""
    SWEEPING = "sweeping"
    """Calls that read all of a program or of every program; their cost grows with what is stored."""
    STREAM = "stream"
    """Streams, which last as long as both sides like."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The room of one process for a class of calls; beyond all of it a call is refused at once."""

    at_once: int
    """The most calls under way."""
    line: int
    """The most calls that wait until one of those has ended."""
    wait_seconds: float
    """The time for which a call waits in the line."""
    retry_seconds: float
    """The time after which a refused call is asked to come again."""


LIMITS = MappingProxyType(
    {
        # A bound for memory and sockets: far more than a process can answer within seconds, so that none is refused
        # that would have been answered. Those that wait for a connection are told so after five seconds.
        CallClass.ORDINARY: Limit(1_000, 0, 0.0, 1.0),
        CallClass.CLICKS: Limit(2_000, 0, 0.0, 1.0),
        # They take milliseconds or, with the largest plans, a second of this process: a burst is worked off in turn.
        CallClass.DECIDING: Limit(3, 100, 5.0, 1.0),
        # They take up to minutes, so a line would only hide the wait; it lets those through that end soon.
        CallClass.SWEEPING: Limit(3, 10, 1.0, 5.0),
        # Each takes some 28 kB of memory as long as it lasts, and hardly ever a connection.
        CallClass.STREAM: Limit(5_000, 0, 0.0, 5.0),
    }
)
"""The limits of each class in one process. Deciding and sweeping calls hold six of the ten connections at
most, and those that help full audits two (`services.rewards.store.audits.helpers`)."""


def classes(of: Mapping[CallClass, Sequence[str]]) -> Mapping[str, CallClass]:
    """The class of each method that is listed, by `Service.Method`. Raises ValueError where one is listed twice."""
    listed = {name: each for each, names in of.items() for name in names}
    if len(listed) < sum(map(len, of.values())):
        raise ValueError("a method is listed twice")
    return MappingProxyType(listed)


class Gate:
    """Lets the calls of one class in, as many as the process has room for."""

    def __init__(self, call_class: CallClass) -> None:
        self._class = call_class
        self._limit = LIMITS[call_class]
        self._free = asyncio.Semaphore(self._limit.at_once)
        self._waiting = 0
        self._refused = REFUSED_CALLS.labels(call_class)
        self._under_way = 0
        CALLS_UNDER_WAY.labels(call_class).set_function(lambda: self._under_way)
        CALLS_WAITING.labels(call_class).set_function(lambda: self._waiting)

    async def __aenter__(self) -> None:
        """Lets a call in. RESOURCE_EXHAUSTED where there is no room, or none in time."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._under_way += 1

    async def __aexit__(self, *_outcome: object) -> None:
        """Makes room for another call."""
        self._under_way -= 1
        self._free.release()

    async def _wait(self) -> None:
        if self._waiting >= self._limit.line:
            raise self._refusal()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limit.wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._waiting -= 1

    def _refusal(self) -> UplineError:
        self._refused.inc()
        return UplineError(
            code_pb2.RESOURCE_EXHAUSTED,
            "TOO_MANY_CALLS",
            f"this server has {self._limit.at_once:,} {self._class} calls under way, the most that it takes at once;"
            f" nothing was changed: come again in {self._limit.retry_seconds:g} s",
            metadata={"class": self._class},
            retry_seconds=self._limit.retry_seconds,
        )
