"""Facts that take long to settle wait in the database, and are settled one after the other, beside all others."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.comparison import Fact
from chassis.consumer import MAX_UNANSWERED, RETRY_SECONDS, StalledError
from chassis.database import is_transient
from chassis.dead_letters import MAX_ATTEMPTS, SetAside, set_aside, told
from chassis.telemetry import EVENTS, MESSAGES
from chassis.topology import CONVERSIONS
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import names_of, settle
from services.rewards.store import conversions, deferred
from services.rewards.store.deferred import ClaimedFact
from services.rewards.wire.events import FactReading, ToldFact

LEASE = timedelta(seconds=60)
"""The time for which nobody else works on a program of which a process has claimed a fact. Where the process dies, the
fact comes again after that."""
RENEW_SECONDS = 15.0
"""The time between two renewals of a claim, so that it lasts however long the fact takes."""
JITTER = (0.8, 1.2)
"""The least and the most of a pause that is made, so that what failed together does not come together again."""
POLL_SECONDS = 1.0
"""The time between two looks at what other processes put here, or what failed and is due again."""
STALLED_SECONDS = 120.0
"""The time for one fact after which health says that nothing gets done: some hundred times that of the worst plan."""
GIVE_BACK_SECONDS = 2.0
"""The time that a process which stops takes to give back what it works on."""

log = structlog.get_logger(__name__)


class DeferredFullError(Exception):
    """So many facts of a program wait already that no more are taken."""


async def defer(deps: Deps, facts: Sequence[ToldFact]) -> set[str]:
    """Has facts wait that are not settled yet, and do not wait already. Returns the programs that have no room for
    theirs."""
    async with deps.database.transaction() as conn:
        known = await conversions.settled(conn, [Fact(each.program_id, each.event_id) for each in facts])
        full = await deferred.add(conn, [each for each in facts if (each.program_id, each.event_id) not in known])
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
        longest_pause = timedelta(seconds=max(self.pauses) * max(JITTER))
        claimed: ClaimedFact | None = None
        try:
            async with self.deps.database.transaction() as conn:
                claimed = await deferred.claim(conn, self._program_id, LEASE, longest_pause)
            if claimed is None:
                return False
            self._program_id = claimed.program_id
            self._began = asyncio.get_running_loop().time()
            await self._work_on(claimed)
        except asyncio.CancelledError:  # the process is told to stop, so the fact is not to blame
            if claimed is not None:
                await self._leave(claimed)
            raise
        finally:
            self._began = None
        return True

    async def _work_on(self, claimed: ClaimedFact) -> None:
        if claimed.unanswered >= MAX_UNANSWERED:
            error = f"ProcessDied: claimed {claimed.claim_count} times; the process died while it worked on it"
            await self._insist(partial(self._set_aside, claimed=claimed, error=error))
            return
        renewing = asyncio.create_task(self._renew(claimed))
        try:
            failure = await self._failure(claimed)
        except Exception as error:  # the database does not answer, so the fact is not to blame
            log.warning("the database is away, will retry", consumer=self.consumer, error=error)
            await self._insist(partial(deferred.give_back, claimed=claimed))
            await asyncio.sleep(POLL_SECONDS)
            return
        finally:
            renewing.cancel()
        if failure is None:
            await self._insist(partial(deferred.remove, claimed=claimed))
            MESSAGES.labels(self.consumer, "settled").inc()
            EVENTS.labels(self.consumer).inc()
        elif claimed.attempts + 1 >= MAX_ATTEMPTS:
            await self._insist(partial(self._set_aside, claimed=claimed, error=failure))
        else:
            MESSAGES.labels(self.consumer, "failed").inc()
            seconds = self.pauses[min(claimed.attempts, len(self.pauses) - 1)]
            pause = timedelta(seconds=seconds * random.uniform(*JITTER))  # noqa: S311 - spreads retries, guards nothing
            await self._insist(partial(deferred.fail, claimed=claimed, error=failure, pause=pause))

    async def _renew(self, claimed: ClaimedFact) -> None:
        """Renews a claim until cancelled."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with self.deps.database.transaction() as conn:
                    await deferred.renew(conn, claimed, LEASE)
            except Exception as error:
                log.warning("cannot renew a claim, will retry", consumer=self.consumer, error=error)

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
        if not await deferred.remove(conn, claimed):
            return  # another process has claimed it since
        letter = SetAside(
            self.consumer, claimed.event_id, CONVERSIONS.subject, claimed.payload, error, claimed.claim_count
        )
        await set_aside(conn, letter)
        MESSAGES.labels(self.consumer, "set_aside").inc()
        log.error("fact set aside as a dead letter", consumer=self.consumer, program=claimed.program_id, error=error)

    async def _insist(self, write: Callable[[AsyncConnection], Awaitable[object]]) -> None:
        """Writes what became of a fact, however long the database is away: else that counts as a death of the process.
        Raises any other error."""
        tries = 0
        while True:
            try:
                async with self.deps.database.transaction() as conn:
                    await write(conn)
            except Exception as error:
                if not is_transient(error):
                    raise
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
                await deferred.give_back(conn, claimed)
        except Exception as error:  # then it comes again when its time is over
            log.warning("cannot give a fact back", consumer=self.consumer, error=error)
