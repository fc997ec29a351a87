"""What the settlement of programs whose facts have an order needs besides: their lock, their tallies, their positions."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.counting import PreparedConversion, release_headroom, take_back_next
from services.rewards.domain.settle.settlement import Accrual, accrue
from services.rewards.domain.settle.waiting import Rejection
from services.rewards.domain.tally.running import Moment, RunningTallies
from services.rewards.domain.tally.snapshot import EMPTY
from services.rewards.domain.tally.tallies import TallyKey
from services.rewards.store import contests, tallies, waiting
from services.rewards.store.conversions import CountedPosition, Key, StoredConversion, key_of
from services.rewards.store.plans import ProgramPlans
from services.rewards.store.waiting import NO_REJECTION

CONVERSIONS_A_PART = 250
"""While so many are decided, those before them are written. Nothing is decided while the last of a transaction are."""
CONVERSIONS_A_TURN = 8
"""Less than a millisecond of work: for so long the writing may have to wait."""

Changes = tuple[dict[TallyKey, int], dict[TallyKey, Moment]]
"""What is added to tallies, and when the scores among them were last changed."""


@dataclass(slots=True)
class DecidedPart:
    """What came of conversions."""

    conversions: list[Conversion] = field(default_factory=list)
    accruals: list[Accrual] = field(default_factory=list)
    counted: dict[Key, CountedPosition] = field(default_factory=dict)
    """Of those of ordered programs."""
    changes: dict[str, Changes] = field(default_factory=dict)
    """What they count, by program: still to be written."""


@dataclass(slots=True)
class PendingConversions:
    """Conversions that are about to be decided, with the plans that pay them; None where none was in force."""

    plain: list[tuple[Plan | None, Conversion]] = field(default_factory=list)
    """Of programs that count nothing."""
    counting: list[tuple[PreparedConversion | None, Conversion]] = field(default_factory=list)

    def only(self, keys: Collection[Key]) -> "PendingConversions":
        """Those with these keys."""
        return PendingConversions(
            [each for each in self.plain if key_of(each[1]) in keys],
            [each for each in self.counting if key_of(each[1]) in keys],
        )


def prepare(
    programs: Collection[str], paying: Mapping[Key, Plan | None], conversions: Iterable[Conversion]
) -> PendingConversions:
    """Finds out what can be known of conversions before the lock of their ordered `programs` is taken."""
    pending = PendingConversions()
    for conversion in conversions:
        plan = paying[key_of(conversion)]
        if conversion.program_id in programs:
            pending.counting.append((None if plan is None else PreparedConversion(plan, conversion), conversion))
        else:
            pending.plain.append((plan, conversion))
    return pending


async def decide_in_parts(
    conn: AsyncConnection,
    programs: Collection[str],
    pending: PendingConversions,
    came_first: Mapping[Key, Sequence[Reversal]],
) -> AsyncIterator[DecidedPart]:
    """Decides conversions, those of ordered `programs` one after the other, as they stand in `pending`. A part may be
    written while the next is decided: the connection is used before the first one only.

    `came_first`: reversals that waited for their conversion. They take effect on tallies with it; on the ledger they
    follow.
    """
    counting = pending.counting
    running, positions = dict[str, RunningTallies](), list[int]()
    if counting:
        running = await _running(conn, programs, [case for case, _ in counting if case is not None])
        positions = await tallies.draw_positions(conn, len(counting))
    if pending.plain:  # not before: while it is written, nothing else may use the connection
        yield DecidedPart(
            [conversion for _, conversion in pending.plain],
            [accrue(plan, conversion) for plan, conversion in pending.plain if plan is not None],
        )
    for start in range(0, len(counting), CONVERSIONS_A_PART):
        decided = DecidedPart()
        for number in range(start, min(start + CONVERSIONS_A_PART, len(counting))):
            case, conversion = counting[number]
            text = None
            if case is not None:
                tallied = running[conversion.program_id]
                accrual, snapshot = case.settle(tallied, positions[number])
                decided.accruals.append(accrual)
                text = snapshot.to_json() if snapshot is not None else None
                if late := came_first.get(key_of(conversion)):
                    taken = [(each, positions[number]) for each in late]
                    take_back_next(case.plan, conversion, snapshot or EMPTY, [], taken, tallied)
            decided.conversions.append(conversion)
            decided.counted[key_of(conversion)] = CountedPosition(positions[number], text)
            if number % CONVERSIONS_A_TURN == 0:
                await asyncio.sleep(0)  # lets the writing of the part before go on
        decided.changes = {program_id: each.take_changes() for program_id, each in running.items()}
        yield decided


async def decide_all(
    conn: AsyncConnection,
    programs: Collection[str],
    pending: PendingConversions,
    came_first: Mapping[Key, Sequence[Reversal]],
) -> DecidedPart:
    """All parts as one, whose tallies are written."""
    total = DecidedPart()
    async for part in decide_in_parts(conn, programs, pending, came_first):
        total.conversions += part.conversions
        total.accruals += part.accruals
        total.counted |= part.counted
        await write(conn, part.changes)
    return total


async def take_back_all(
    conn: AsyncConnection,
    programs: Collection[str],
    versions: ProgramPlans,
    kept: Iterable[StoredConversion],
    reversals: Mapping[Key, Sequence[Reversal]],
    new: Mapping[Key, int],
) -> None:
    """Takes out of the tallies of ordered `programs` what `new` reversals take back: their positions, by (program,
    reversal)."""
    taken = [
        (versions[each.conversion.program_id].version(each.plan_version), each)
        for each in kept
        if each.plan_version and each.conversion.program_id in programs
    ]
    if not taken:
        return
    running = await _running(conn, programs, [PreparedConversion(plan, each.conversion) for plan, each in taken])
    rejections = await waiting.load_rejections(conn, [key_of(each.conversion) for plan, each in taken if plan.waits])
    for plan, each in taken:
        known = reversals[key_of(each.conversion)]
        later = [(one, new[name]) for one in known if (name := (one.program_id, one.reversal_id)) in new]
        earlier = [one for one in known if (one.program_id, one.reversal_id) not in new]
        rule_ids, _ = rejections.get(key_of(each.conversion), NO_REJECTION)
        take_back_next(plan, each.conversion, each.snapshot, earlier, later, running[plan.program_id], rule_ids)
    await write(conn, {program_id: each.take_changes() for program_id, each in running.items()})


async def take_refusal(
    conn: AsyncConnection, plan: Plan, kept: StoredConversion, earlier: Sequence[Reversal], rejection: Rejection
) -> int:
    """Takes what a person refuses out of the tallies; returns the position of that. The program's lock is taken."""
    running = RunningTallies({})
    release_headroom(plan, kept.conversion, kept.snapshot, earlier, rejection, running)
    await tallies.add(conn, plan.program_id, running.changes, running.reached)
    return (await tallies.draw_positions(conn, 1))[0]


async def place_reversals(conn: AsyncConnection, reversals: Sequence[Reversal]) -> dict[Key, int]:
    """The positions of reversals, which come in their order, by (program, reversal): those of one conversion have an
    order in every program. Their conversions are locked."""
    positions = await tallies.draw_positions(conn, len(reversals))
    return {(each.program_id, each.reversal_id): at for at, each in zip(positions, reversals, strict=True)}


async def write(conn: AsyncConnection, changes: Mapping[str, Changes]) -> None:
    """Adds what programs counted to their tallies."""
    for program_id, (added, reached) in changes.items():
        await tallies.add(conn, program_id, added, reached)


async def _running(
    conn: AsyncConnection, programs: Collection[str], cases: Sequence[PreparedConversion]
) -> dict[str, RunningTallies]:
    """The tallies that cases need, by program."""
    wanted: dict[str, list[TallyKey]] = {}
    for each in cases:
        wanted.setdefault(each.plan.program_id, []).extend(each.needs)
    running = {
        program_id: RunningTallies(await tallies.load(conn, program_id, keys)) for program_id, keys in wanted.items()
    }
    for program_id, contest_id in await contests.settled(conn, programs):
        if program_id in running:
            running[program_id].close(contest_id)
    return running
