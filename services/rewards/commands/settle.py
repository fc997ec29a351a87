"""Settling: conversions and reversals become postings, each exactly once, in whatever order and however often they arrive."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from psycopg.errors import UniqueViolation
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import events_pb2

from chassis import outbox
from chassis.pipeline import write_pipelined
from services.rewards import events
from services.rewards.commands import counting, expiry
from services.rewards.commands.counting import DecidedPart, PendingConversions
from services.rewards.commands.deps import Deps
from services.rewards.commands.one_by_one import isolating
from services.rewards.domain.conversion import ArrivedConversion, Conversion, FactBatch, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.debts import owing, spent_from
from services.rewards.domain.settle.settlement import Accrual, Clawback, claw_back, revised
from services.rewards.domain.settle.waiting import signal_of, waits_of
from services.rewards.store import conversions, ledger, plans, tallies, waiting, wallets
from services.rewards.store.conversions import Key, StoredConversion, key_of
from services.rewards.store.plans import ProgramPlans

FACTS_A_TRANSACTION = 1_000
"""The more rows go into an index together, the less each costs; below a few thousand no transaction holds locks for long."""
PARTS_AT_ONCE = 2
"""One is decided here while the other is written there; more would only wait for the same two."""
PARTS_AHEAD = 2
"""So many decided parts of a transaction may wait to be written: where writing falls behind for a moment, deciding goes on."""

Fact = TypeVar("Fact", ArrivedConversion, Reversal)
Locked = Callable[[], None]
"""Says that a transaction has the locks that give its facts their place among all facts of their programs."""


async def settle(deps: Deps, facts: FactBatch) -> list[Exception]:
    """Settles facts. One that cannot be settled keeps no other from it: returns the errors of these. Raises what may succeed
    later, for then all of them have to come again."""
    failures = await _in_parts(facts.conversions, partial(_settle_arrived, deps))
    failures += await _in_parts(facts.reversals, partial(_settle_reversals, deps))
    deps.relay.wake()
    return failures


async def _in_parts(
    facts: Sequence[Fact], work: Callable[[Locked, Sequence[Fact]], Awaitable[None]]
) -> list[Exception]:
    """Works on all facts, a transaction for each part. While the database writes one part, the next is decided: that one begins when
    the one before has its locks, so that the parts of a program that counts take effect in the order in which they came."""
    slots = asyncio.Semaphore(PARTS_AT_ONCE)

    async def one(part: Sequence[Fact], may_begin: asyncio.Event, locked: asyncio.Event) -> list[Exception]:
        await may_begin.wait()
        async with slots:
            try:
                return await isolating(part, partial(work, locked.set))
            finally:
                locked.set()

    parts = [facts[start : start + FACTS_A_TRANSACTION] for start in range(0, len(facts), FACTS_A_TRANSACTION)]
    turns = [asyncio.Event() for _ in range(len(parts) + 1)]
    turns[0].set()
    failures: list[Exception] = []
    # Every part comes to its end before an error is raised: none may go on behind the caller's back.
    for outcome in await asyncio.gather(*map(one, parts, turns, turns[1:]), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        failures += outcome
    return failures


async def _settle_arrived(deps: Deps, locked: Locked, recorded: Sequence[ArrivedConversion]) -> None:
    async with deps.database.transaction() as conn:
        program_ids = {each.conversion.program_id for each in recorded}
        await plans.pin_versions(conn, program_ids)
        versions = await deps.plans.load(conn, program_ids)
        paying = {
            key_of(each.conversion): versions[each.conversion.program_id].in_force(each.conversion.terms_time)
            for each in recorded
        }
        rows = {(key := key_of(each.conversion)): (each, _number(paying[key])) for each in recorded}
        programs = versions.with_order
        pending = counting.prepare(programs, paying, (each.conversion for each in recorded))
        if ordered := programs | {each for each in versions if versions[each].awaited_events}:
            await tallies.lock(conn, ordered)
        locked()
        try:
            async with (
                conn.begin_nested()
            ):  # where it fails, the locks stay, and with them the part's place among the others
                parts = counting.decide_in_parts(conn, programs, pending, {})
                accruals: list[Accrual] = []
                await write_pipelined(parts, partial(_write_new, conn, versions, rows, accruals), PARTS_AHEAD)
                await _keep_waiting(conn, versions, accruals, [each.conversion for each in recorded])
        except UniqueViolation:  # some are there already, or a reversal waits for one: look at each
            await _settle_fresh(conn, versions, rows, programs, pending)


async def _settle_fresh(
    conn: AsyncConnection,
    versions: ProgramPlans,
    rows: Mapping[Key, tuple[ArrivedConversion, int]],
    programs: Collection[str],
    pending: PendingConversions,
) -> None:
    fresh, awaited = await conversions.merge_new(conn, list(rows.values()))
    late = await conversions.load_reversals(conn, awaited) if awaited else {}
    arrived = [each.conversion for key, (each, _) in rows.items() if key in fresh]
    decided = await counting.decide_all(conn, programs, pending.only(fresh), late)
    if decided.counted:
        await conversions.keep_counted(conn, decided.counted)
    await _post(conn, versions, decided.accruals, [])
    await _keep_waiting(conn, versions, decided.accruals, arrived)
    if awaited:
        came_first = [each for key in rows for each in late.get(key, ())]
        await _take_back(conn, versions, await conversions.lock_expected(conn, awaited), late, came_first)


async def _write_new(
    conn: AsyncConnection,
    versions: ProgramPlans,
    rows: Mapping[Key, tuple[ArrivedConversion, int]],
    accruals: list[Accrual],
    decided: DecidedPart,
) -> None:
    await conversions.copy_new(conn, [rows[key_of(each)] for each in decided.conversions], decided.counted)
    await counting.write(conn, decided.changes)
    await _post(conn, versions, decided.accruals, [])
    accruals += decided.accruals


async def _settle_reversals(deps: Deps, locked: Locked, reversals: Sequence[Reversal]) -> None:
    async with deps.database.transaction() as conn:
        program_ids = {each.program_id for each in reversals}
        # A version that begins to count may not come in between: what its conversions count is taken back behind the lock.
        await plans.pin_versions(conn, program_ids)
        programs = (await deps.plans.load(conn, program_ids)).with_order
        if programs:
            await tallies.lock(conn, programs)
        # The conversion's row is locked before its reversals are written, so two workers never take back the same part.
        kept = await conversions.lock_expected(conn, [(each.program_id, each.conversion_id) for each in reversals])
        locked()
        # Read behind the lock: a conversion that another worker settled meanwhile may be paid by a version of meanwhile.
        versions = await deps.plans.load(conn, program_ids)
        positions = await counting.place_reversals(conn, reversals)
        added = await conversions.insert_reversals(conn, reversals, positions)
        new = {name: position for name, position in positions.items() if name in added}
        if new:
            fresh = [each for each in reversals if (each.program_id, each.reversal_id) in new]
            known = await conversions.load_reversals(conn, [(each.program_id, each.conversion_id) for each in fresh])
            arrived = [found for key in known if (found := kept[key]) is not None]
            await counting.take_back_all(conn, programs, versions, arrived, known, new)
            await _take_back(conn, versions, kept, known, fresh)


async def _take_back(
    conn: AsyncConnection,
    versions: ProgramPlans,
    kept: Mapping[Key, StoredConversion | None],
    known: Mapping[Key, Sequence[Reversal]],
    new: Sequence[Reversal],
) -> None:
    """Posts what `new` reversals take back, one after the other; the other reversals among those `known` of their
    conversions were posted before. The conversions are locked."""
    paid = {key: found for key in known if (found := kept[key]) is not None and found.plan_version}
    if not paid:
        return
    arrived = [each.conversion for each in paid.values()]
    held = await ledger.lock_holds(conn, arrived)
    posted = await ledger.load_posted(conn, arrived, held)
    fresh = {(each.program_id, each.reversal_id) for each in new}
    earlier = {key: [each for each in known[key] if (each.program_id, each.reversal_id) not in fresh] for key in paid}
    clawbacks = []
    for reversal in new:
        key = reversal.program_id, reversal.conversion_id
        if (found := paid.get(key)) is None:
            continue
        plan = versions[found.conversion.program_id].version(found.plan_version)
        clawback = claw_back(plan, found.conversion, earlier[key], reversal, posted[key], found.snapshot)
        clawbacks.append(clawback)
        posted[key] = revised(posted[key], clawback.revisions)
        earlier[key].append(reversal)
    await _post(conn, versions, [], await _owing(conn, versions, clawbacks))


async def _owing(conn: AsyncConnection, versions: ProgramPlans, clawbacks: list[Clawback]) -> list[Clawback]:
    """What was used already becomes a debt, and what expired does not. The wallets that something available is taken out of stay locked: nobody spends it meanwhile."""
    spent = spent_from(clawbacks)
    if not spent:
        return clawbacks
    await wallets.lock(conn, (wallets.wallet_lock(*each) for each in spent))
    available = {}
    for program_id in sorted({program_id for program_id, _ in spent}):
        people = [participant_id for of, participant_id in spent if of == program_id]
        for (participant_id, asset), pocket in (await wallets.pockets(conn, program_id, people)).items():
            available[program_id, participant_id, asset] = pocket.available_minor
    return owing(clawbacks, available, await expiry.expired(conn, versions, clawbacks))


async def _post(
    conn: AsyncConnection, versions: ProgramPlans, accruals: Sequence[Accrual], clawbacks: Sequence[Clawback]
) -> None:
    await ledger.post(
        conn,
        [reward for each in accruals for reward in each.rewards],
        [transfer for each in clawbacks for transfer in each.transfers],
        [revision for each in clawbacks for revision in each.revisions],
    )
    facts: list[events_pb2.RewardEvent] = []
    for accrual in accruals:
        if accrual.rewards:
            plan = versions[accrual.conversion.program_id].version(accrual.rewards[0].plan_version)
            facts.append(events.accrued(accrual, plan.assets))
    for clawback in clawbacks:
        if clawback.transfers:
            plan = versions[clawback.conversion.program_id].version(clawback.revisions[0].reward.plan_version)
            facts.append(events.taken_back(clawback, plan.assets))
    await outbox.append(conn, events.messages(facts))


async def _keep_waiting(
    conn: AsyncConnection,
    versions: ProgramPlans,
    accruals: Sequence[Accrual],
    arrived: Sequence[Conversion],
) -> None:
    """Writes which rewards wait for more than time, and what they wait for. The caller holds the lock of programs that wait for events."""
    programs = {program_id for program_id, plans in versions.items() if plans.waits}
    if not programs:
        return
    held = [
        wait
        for each in accruals
        if each.conversion.program_id in programs and each.rewards
        for wait in waits_of(
            versions[each.conversion.program_id].version(each.rewards[0].plan_version), each.conversion, each.rewards
        )
    ]
    awaited = {program_id: versions[program_id].awaited_events for program_id in programs}
    signals = [signal_of(each) for each in arrived if each.event_type in awaited.get(each.program_id, ())]
    await waiting.keep(conn, held, signals)


def _number(plan: Plan | None) -> int:
    return 0 if plan is None else plan.version
