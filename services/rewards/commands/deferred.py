"""Facts that take long to settle wait in the database, and are settled one after the other, beside all others."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.consumer import MAX_UNANSWERED, RETRY_SECONDS, StalledError
from chassis.dead_letters import MAX_ATTEMPTS, SetAside, set_aside, told
from chassis.telemetry import EVENTS, MESSAGES
from chassis.topology import CONVERSIONS
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import names_of, settle
from services.rewards.store import deferred
from services.rewards.store.deferred import ClaimedFact
from services.rewards.wire.events import FactReading, ToldFact

LEASE = timedelta(seconds=60)
"""The time for which nobody else works on a program of which a process has claimed a fact up: many times what the worst
plan takes. Where the process dies, the fact comes again after that; where it only took longer, it is settled once all
the same."""
POLL_SECONDS = 1.0
"""The time between two looks at what other processes put here, or what failed and is due again."""
STALLED_SECONDS = 120.0
"""The time for one fact after which health says that nothing gets done: some hundred times that of the worst plan."""
GIVE_BACK_SECONDS = 2.0
"""The time that a process which stops takes to give back what it works on."""

log = structlog.get_logger(__name__)


class DeferredFullError(Exception):
    """So many facts of a program wait already that no more are claimed."""


async def defer(deps: Deps, facts: Sequence[ToldFact]) -> set[str]:
    """Has facts wait. Returns the programs that have no room for theirs."""
    async with deps.database.transaction() as conn:
        full = await deferred.add(conn, facts)
    deps.deferred_came.set()
    return full


@dataclass(slots=True)
class Deferral:
    """Settles the facts that wait, programs in turn. Any number of processes may: of each program, one does."""

    deps: Deps
    consumer: str
    """The consumer that facts are set aside for, which they come back to when a person puts them back."""
    pauses: tuple[float, ...] = RETRY_SECONDS
    """The seconds before a fact that failed is tried again, the last ones from then on."""
    _program_id: str = field(default="", init=False)
    """The program that had the last turn."""
    _began: float | None = field(default=None, init=False)
    """When the fact at hand was begun, by the event loop's clock; None while there is none."""

    async def run(self) -> None:
        """Settles until cancelled."""
        came = self.deps.deferred_came
        while True:
            came.clear()
            try:
                if await self.settle_next():
                    continue
            except Exception as error:
                log.warning("cannot settle what is deferred, will retry", error=error)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await came.wait()
            except TimeoutError:
                continue

    async def check_progress(self) -> None:
        """Raises StalledError where the fact at hand is not settled after STALLED_SECONDS."""
        if self._began is not None and asyncio.get_running_loop().time() - self._began > STALLED_SECONDS:
            raise StalledError(
                f"a fact of program {self._program_id!r} that takes long is not settled after {STALLED_SECONDS:.0f} s"
            )

    async def settle_next(self) -> bool:
        """Settles the fact whose turn it is; says whether there was one. One that fails is tried again later."""
        async with self.deps.database.transaction() as conn:
            claimed = await deferred.claim(conn, self._program_id, LEASE)
        if claimed is None:
            return False
        self._program_id = claimed.program_id
        self._began = asyncio.get_running_loop().time()
        try:
            await self._work_on(claimed)
        finally:
            self._began = None
        return True

    async def _work_on(self, claimed: ClaimedFact) -> None:
        if claimed.unanswered >= MAX_UNANSWERED:
            error = f"ProcessDied: claimed up {claimed.claim_count} times; the process died while it worked on it"
            log.error("fact took the process with it, set aside as a dead letter", program=claimed.program_id)
            await self._insist(partial(self._set_aside, claimed=claimed, error=error))
            return
        try:
            failure = await self._failure(claimed)
        except asyncio.CancelledError:  # the process is told to stop, so the fact is not to blame
            await self._leave(claimed)
            raise
        except Exception as error:  # the database does not answer
            log.warning("the database is away, will retry", consumer=self.consumer, error=error)
            await self._insist(partial(deferred.give_back, deferred_id=claimed.deferred_id))
            return
        if failure is None:
            await self._insist(partial(deferred.remove, deferred_id=claimed.deferred_id))
            MESSAGES.labels(self.consumer, "settled").inc()
            EVENTS.labels(self.consumer).inc()
        elif claimed.attempts + 1 >= MAX_ATTEMPTS:
            await self._insist(partial(self._set_aside, claimed=claimed, error=failure))
        else:
            MESSAGES.labels(self.consumer, "failed").inc()
            seconds = self.pauses[min(claimed.attempts, len(self.pauses) - 1)]
            pause = timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
            await self._insist(partial(deferred.fail, deferred_id=claimed.deferred_id, error=failure, pause=pause))

    async def _failure(self, claimed: ClaimedFact) -> str | None:
        """Settles a fact; returns why it cannot be, None if it is. Raises if the database does not answer."""
        reading = FactReading()
        for _ in reading.read_each([claimed.payload]):
            pass
        if reading.unreadable:  # the version that put it here could read it
            error, names = reading.unreadable[0], {"program": claimed.program_id}
        else:
            failed = (await settle(self.deps, reading.facts, apart=True)).failed
            if not failed:
                return None
            fact, error = failed[0]
            names = names_of(fact)
        log.error("deferred fact failed", consumer=self.consumer, **names, exc_info=error)
        return told(error, names)

    async def _set_aside(self, conn: AsyncConnection, claimed: ClaimedFact, error: str) -> None:
        letter = SetAside(
            self.consumer, claimed.event_id, CONVERSIONS.subject, claimed.payload, error, claimed.claim_count
        )
        await set_aside(conn, letter)
        await deferred.remove(conn, claimed.deferred_id)
        MESSAGES.labels(self.consumer, "set_aside").inc()

    async def _insist(self, write: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Writes what became of a fact, however long the database is away: it would count as a death of the process."""
        tries = 0
        while True:
            try:
                async with self.deps.database.transaction() as conn:
                    await write(conn)
            except Exception as error:
                log.warning("cannot note what became of a fact, will retry", consumer=self.consumer, error=error)
            else:
                return
            self._began = None  # health tells by itself why nothing can be done
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 2)])
            tries += 1

    async def _leave(self, claimed: ClaimedFact) -> None:
        """Gives a fact back, so that others take it up at once."""
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS), self.deps.database.transaction() as conn:
                await deferred.give_back(conn, claimed.deferred_id)
        except Exception as error:  # then it comes again when its time is over
            log.warning("cannot give a fact back", consumer=self.consumer, error=error)
