"""Settling: facts become postings, each exactly once, in whatever order and however often they arrive."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from psycopg.errors import UniqueViolation
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.database import is_transient
from chassis.isolation import isolating
from chassis.pipeline import Pipeline
from services.rewards import events
from services.rewards.commands import effects
from services.rewards.commands.clawbacks import post_clawbacks, settle_reversals
from services.rewards.commands.deps import Deps
from services.rewards.commands.pacing import Fact, Pacing, takes_long
from services.rewards.commands.turns import Turn
from services.rewards.domain.conversion import ArrivedConversion, ConversionKey, FactBatch, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.accrual import Accrual
from services.rewards.domain.settle.counting import (
    DecidedPart,
    PendingConversions,
    ask_ahead,
    prepare,
)
from services.rewards.domain.settle.holds import signal_of, waits_of
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.store import conversions, holds, ledger, plans, tallies
from services.rewards.store.plans import ProgramPlans

FACTS_A_TRANSACTION_APART = 1
"""One may take a second, for which the locks of its program are held: who publishes a plan that takes less waits for
them."""
FACTS_A_TRANSACTION = 1_000
"""The more rows go into an index together, the less each costs; below a few thousand no transaction holds locks for
long."""
TRANSACTIONS_AT_ONCE = 2
"""One is decided here while the other is written there; more would only wait for the same two."""
PARTS_AHEAD = 2
"""So many decided parts of a transaction may wait to be written: where writing falls behind for a moment, deciding goes
on."""
CONVERSIONS_A_PART = 250
"""While so many are decided, those before them are written. Nothing is decided while the last of a transaction are."""
PREPARED_A_STEP = 4
"""So many conversions are prepared at a time, each of them in 3 ms at most."""
CONVERSIONS_FIRST = 64
"""The first part of a transaction is smaller: the database has nothing to do until it is decided."""
REWARDS_A_PART = 10_000
"""A part ends earlier where its conversions have so many rewards: they are in memory several times while they are
written."""

AnyFact = ArrivedConversion | Reversal

log = structlog.get_logger(__name__)


class Unsettled(NamedTuple):
    """The facts that are not settled."""

    failed: list[tuple[AnyFact, Exception]]
    """Those that cannot be, now or ever, with their errors."""
    left_out: list[AnyFact]
    """Those of programs that take long to decide, in their order."""


async def settle(deps: Deps, facts: FactBatch, *, apart: bool = False) -> Unsettled:
    """Settles facts. One that cannot be settled keeps no other from it. Raises only if the database does not answer,
    for then all of them have to come again.

    Facts of programs that take long to decide are left out, and so is what comes behind them: they are to come again
    alone, and `apart`. Then they are decided in a thread, each in a transaction of its own.
    """
    most = FACTS_A_TRANSACTION_APART if apart else FACTS_A_TRANSACTION
    slow: set[str] = set()
    conversions = Pacing[ArrivedConversion](deps, apart, slow)
    reversals = Pacing[Reversal](deps, apart, slow)
    failed: list[tuple[AnyFact, Exception]] = [
        *await _in_transactions(deps, conversions, facts.conversions, most, apart, _settle_conversions),
        *await _in_transactions(deps, reversals, facts.reversals, most, apart, settle_reversals),
    ]
    deps.relay.wake()
    left_out: list[AnyFact] = [*conversions.left_out, *reversals.left_out]
    # One that was left out before the others of its transaction failed is to come again apart, and not among others.
    waiting = set(map(id, left_out))
    unsettled = Unsettled([each for each in failed if id(each[0]) not in waiting], left_out)
    _log_settled(facts, unsettled)
    return unsettled


def names_of(fact: AnyFact) -> dict[str, str]:
    """The names that logs give to a fact."""
    if isinstance(fact, ArrivedConversion):
        told = {"conversion": fact.conversion.conversion_id, "trace_id": fact.conversion.trace_id}
    else:
        told = {"conversion": fact.conversion_id, "reversal": fact.reversal_id, "trace_id": fact.trace_id}
    return {name: text for name, text in {"program": fact.program_id, **told}.items() if text}


def _log_settled(facts: FactBatch, unsettled: Unsettled) -> None:
    """A line for each fact that is settled, now or before."""
    if not log.is_enabled_for(logging.DEBUG):
        return
    missing = {*(id(fact) for fact, _ in unsettled.failed), *map(id, unsettled.left_out)}
    arrived: list[AnyFact] = [*facts.conversions, *facts.reversals]
    for each in arrived:
        if id(each) not in missing:
            kind = "conversion" if isinstance(each, ArrivedConversion) else "reversal"
            log.debug(f"{kind} settled", **names_of(each))


async def _in_transactions(
    deps: Deps,
    pacing: Pacing[Fact],
    facts: Sequence[Fact],
    most: int,
    apart: bool,
    work: Callable[[Deps, Pacing[Fact], asyncio.Event, Sequence[Fact]], Awaitable[None]],
) -> list[tuple[Fact, Exception]]:
    """Works on all facts, a transaction for each part of so many at most. While the database writes one part, the next
    is decided: that one begins when the one before has its locks, so that the parts of a program that counts take
    effect in the order in which they came."""
    slots = asyncio.Semaphore(TRANSACTIONS_AT_ONCE if not apart else 1)

    async def one(part: Sequence[Fact], before: asyncio.Event, locked: asyncio.Event) -> list[tuple[Fact, Exception]]:
        await before.wait()
        async with slots:
            try:
                failed = await _isolating_programs(deps, part, apart, partial(work, deps, pacing, locked))
            finally:
                locked.set()
            if len(failed) < len(part):
                deps.progress.made()
            return failed

    parts = [facts[start : start + most] for start in range(0, len(facts), most)]
    locks = [asyncio.Event() for _ in range(len(parts) + 1)]
    locks[0].set()
    failures: list[tuple[Fact, Exception]] = []
    # Every part comes to its end before an error is raised: none may go on behind the caller's back.
    for outcome in await asyncio.gather(*map(one, parts, locks, locks[1:]), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        failures += outcome
    return failures


async def _isolating_programs(
    deps: Deps, facts: Sequence[Fact], apart: bool, work: Callable[[Sequence[Fact]], Awaitable[None]]
) -> list[tuple[Fact, Exception]]:
    """Works on facts, but for those of programs whose facts waited in vain a moment ago, as for a lock. They would wait
    again, and everything that came with them. What is settled apart came with nothing else, and is tried."""
    resting, now = deps.resting_programs, asyncio.get_running_loop().time()
    skipped: list[tuple[Fact, Exception]] = []
    awake = facts
    if not apart and resting.keys(now):
        errors = {each.program_id: resting.error_of(each.program_id, now) for each in facts}
        skipped = [(each, error) for each in facts if (error := errors[each.program_id]) is not None]
        awake = [each for each in facts if errors[each.program_id] is None]
    failures: list[tuple[Fact, Exception]] = []
    if awake:
        failures = await isolating(deps.database, awake, _program_of, work)
    waited = {each.program_id: error for each, error in failures if is_transient(error)}
    if resting:
        for program_id in {each.program_id for each in awake} - waited.keys():
            resting.worked(program_id)
    for program_id, error in waited.items():
        resting.failed(program_id, error, asyncio.get_running_loop().time())
    return skipped + failures


def _program_of(fact: Fact) -> str:
    return fact.program_id


async def _settle_conversions(
    deps: Deps, pacing: Pacing[ArrivedConversion], locked: asyncio.Event, arrived: Sequence[ArrivedConversion]
) -> None:
    """Settles conversions in one transaction. `locked` is set once it has the locks that give them their place among
    all facts of their programs."""
    async with deps.program_turns.begin() as turn, deps.database.transaction() as conn:
        program_ids = {each.conversion.program_id for each in arrived}
        await plans.pin_versions(conn, program_ids)
        await pacing.find_slow(conn, program_ids)
        settlement = _Settlement(conn, pacing, await deps.plans.load(conn, program_ids))
        await settlement.prepare(arrived)
        await settlement.lock(turn)
        locked.set()
        try:
            # Where it fails, the locks stay, and with them the part's place among the others.
            async with conn.begin_nested():
                await settlement.settle_all()
        except UniqueViolation:  # some are there already, or a reversal waits for one: look at each
            await settlement.settle_unknown()


class _Settlement:
    """The settlement of conversions in one transaction. Once they are prepared and the locks are taken, each part of
    them is decided, claimed, counted, posted and published; while one part is written, the next is decided."""

    def __init__(self, conn: AsyncConnection, pacing: Pacing[ArrivedConversion], versions: ProgramPlans) -> None:
        self._conn = conn
        self._pacing = pacing
        self._versions = versions
        self._ordered = versions.with_order
        self._rows: dict[ConversionKey, tuple[ArrivedConversion, int]] = {}
        """The conversions with the numbers of the versions that pay them; 0 where none was in force."""
        self._pending = PendingConversions()
        self._late: Mapping[ConversionKey, Sequence[Reversal]] = {}
        """Reversals that came before their conversions: they take effect on tallies with them, on the ledger later."""
        self._is_claimed = False
        """Whether the conversions were claimed together before; else each part is claimed when it is written."""

    async def prepare(self, arrived: Sequence[ArrivedConversion]) -> None:
        """Finds the versions that pay conversions, and everything that can be known before the locks are taken."""
        for each in arrived:
            conversion = each.conversion
            in_force = self._versions[conversion.program_id].in_force(conversion.terms_time)
            self._rows[conversion.key] = each, 0 if in_force is None else in_force.version
        paying = {(program_id, version) for (program_id, _), (_, version) in self._rows.items() if version}
        await self._versions.compile(self._conn, paying)
        self._leave_out_slow()
        async for _ in self._pacing.turns(self._prepare_each(), rests=True):
            pass

    def _leave_out_slow(self) -> None:
        # Most plans are quick for all conversions of a type, and need not be asked for each.
        rows = self._rows.values()
        kinds = {(each.conversion.program_id, version, each.conversion.event_type) for each, version in rows if version}
        doubtful = {kind for kind in kinds if not self._versions.plan(*kind[:2]).is_quick(kind[2])}
        slow = self._pacing.slow & {program_id for program_id, _ in self._rows}
        if doubtful:
            slow |= {
                each.program_id
                for each, version in rows
                if (each.program_id, version, each.conversion.event_type) in doubtful
                and self._pacing.takes_long(self._versions.plan(each.program_id, version), each.conversion)
            }
        if slow:
            arrived = [each for each, _ in self._rows.values()]
            kept = {each.conversion.key for each in self._pacing.leave_out(arrived, slow)}
            self._rows = {key: row for key, row in self._rows.items() if key in kept}
            self._ordered -= slow

    def _prepare_each(self) -> Iterator[None]:
        """Prepares a few conversions after the others; apart, one after the other."""
        a_step = 1 if self._pacing.apart else PREPARED_A_STEP
        for number, (each, version) in enumerate(self._rows.values()):
            conversion = each.conversion
            plan = self._versions.plan(conversion.program_id, version) if version else None
            if self._pacing.apart and plan is not None and takes_long(plan, conversion):
                conversion = ask_ahead(plan, conversion)
            if conversion.program_id in self._ordered:
                self._pending.counting.append((None if plan is None else prepare(plan, conversion), conversion))
            else:
                self._pending.plain.append((plan, conversion))
            if number % a_step == 0:
                yield

    async def lock(self, turn: Turn) -> None:
        """Takes the locks of programs whose facts have an order, or whose holds wait for events."""
        program_ids = {program_id for program_id, _ in self._rows}
        waits = {each for each in program_ids if self._versions[each].awaited_events}
        if locks := self._ordered | waits:
            await turn.wait_for(locks)
            await tallies.lock(self._conn, locks)

    async def settle_all(self) -> None:
        """Settles all conversions. UniqueViolation where one of them is known, or a reversal waits for one."""
        await self._settle(self._pending)

    async def settle_unknown(self) -> None:
        """Settles those of the conversions that are not known, and the reversals that wait for them."""
        unknown, awaited = await conversions.merge_new(self._conn, list(self._rows.values()))
        self._is_claimed = True
        self._late = await conversions.load_reversals(self._conn, awaited) if awaited else {}
        await self._settle(self._pending.only(unknown))
        if awaited:
            late = [each for key in self._rows for each in self._late.get(key, ())]
            stored = await conversions.lock_expected(self._conn, awaited)
            await post_clawbacks(self._conn, self._pacing, self._versions, stored, self._late, late)

    async def _settle(self, pending: PendingConversions) -> None:
        accruals: list[Accrual] = []
        counting, running, positions = pending.counting, dict[str, RunningTallies](), list[int]()
        if counting:  # loaded before the first part: while one is written, nothing else may use the connection
            prepared = [each for each, _ in counting if each is not None]
            running = await effects.load_running(self._conn, self._ordered, prepared)
            positions = await tallies.draw_positions(self._conn, len(counting))
        parts = deque[DecidedPart]()
        async with Pipeline(self._write, PARTS_AHEAD) as pipeline:
            async for _ in self._pacing.turns(self._decide(pending, positions, running, parts)):
                while parts:
                    accruals += parts[0].accruals
                    await pipeline.put(parts.popleft())
        await self._keep_waiting(accruals, pending)

    def _decide(
        self,
        pending: PendingConversions,
        positions: Sequence[int],
        running: Mapping[str, RunningTallies],
        parts: deque[DecidedPart],
    ) -> Iterator[None]:
        """Decides conversions one after the other, and puts them into parts."""
        part, rewards = DecidedPart(), 0
        for plan, conversion in pending.plain:
            rewards += part.add_plain(plan, conversion)
            if rewards >= REWARDS_A_PART:
                parts.append(part)
                part, rewards = DecidedPart(), 0
            yield
        if part.conversions:
            parts.append(part)
            part, rewards = DecidedPart(), 0
        most = CONVERSIONS_FIRST
        for (prepared, conversion), position in zip(pending.counting, positions, strict=True):
            late = self._late.get(conversion.key, ())
            rewards += part.add(conversion, prepared, running.get(conversion.program_id), position, late)
            if rewards >= REWARDS_A_PART or len(part.conversions) >= most:
                parts.append(_counted(part, running))
                part, rewards, most = DecidedPart(), 0, CONVERSIONS_A_PART
            yield
        if part.conversions:
            parts.append(_counted(part, running))

    async def _write(self, part: DecidedPart) -> None:
        await self._claim(part)
        await effects.write_changes(self._conn, part.changes)
        await ledger.post(self._conn, [reward for each in part.accruals for reward in each.rewards], [], [])
        await self._publish(part.accruals)

    async def _claim(self, part: DecidedPart) -> None:
        """Makes the conversions of a part known: whoever comes with them again finds them."""
        if not self._is_claimed:
            await conversions.copy_new(self._conn, [self._rows[each.key] for each in part.conversions], part.counted)
        elif part.counted:
            await conversions.store_positions(self._conn, part.counted)

    async def _publish(self, accruals: Sequence[Accrual]) -> None:
        facts = await self._pacing.make(
            events.accrued(each, self._plan_of(each).assets) for each in accruals if each.rewards
        )
        await outbox.append(self._conn, events.messages(facts))

    async def _keep_waiting(self, accruals: Sequence[Accrual], pending: PendingConversions) -> None:
        """Writes which rewards wait for more than time, and what they wait for."""
        awaited = {each: found.awaited_events for each, found in self._versions.items() if found.waits}
        if not awaited:
            return
        held = [
            wait
            for each in accruals
            if each.conversion.program_id in awaited and each.rewards
            for wait in waits_of(self._plan_of(each), each.conversion, each.rewards)
        ]
        signals = [
            signal_of(each) for each in pending.conversions if each.event_type in awaited.get(each.program_id, ())
        ]
        await holds.keep(self._conn, held, signals)

    def _plan_of(self, accrual: Accrual) -> Plan:
        """The version that pays an accrual, which has rewards."""
        return self._versions.plan(accrual.conversion.program_id, accrual.rewards[0].plan_version)


def _counted(part: DecidedPart, running: Mapping[str, RunningTallies]) -> DecidedPart:
    """A part with what it counted."""
    part.changes = {program_id: each.take_changes() for program_id, each in running.items()}
    return part
