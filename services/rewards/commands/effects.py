"""Effects of facts on the tallies of programs whose facts have an order. Their locks are taken."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pacing import Beside
from services.rewards.commands.pacing import Pacing
from services.rewards.domain.conversion import ConversionKey, Reversal, ReversalKey
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.counting import PreparedConversion, prepare, release_headroom, reverse_effects
from services.rewards.domain.settle.holds import Rejection
from services.rewards.domain.tally.running import RunningTallies, TallyChanges
from services.rewards.domain.tally.tallies import TallyKey
from services.rewards.store import contests, holds, tallies
from services.rewards.store.conversions import StoredConversion
from services.rewards.store.holds import NO_REJECTION
from services.rewards.store.plans import ProgramPlans


async def load_running(
    conn: AsyncConnection, program_ids: Collection[str], prepared: Iterable[PreparedConversion]
) -> dict[str, RunningTallies]:
    """The tallies that conversions need, by program."""
    needed: dict[str, list[TallyKey]] = {}
    for each in prepared:
        needed.setdefault(each.plan.program_id, []).extend(each.needed_tallies)
    running = {
        program_id: RunningTallies(await tallies.load(conn, program_id, keys)) for program_id, keys in needed.items()
    }
    for program_id, contest_id in await contests.closed(conn, program_ids):
        if program_id in running:
            running[program_id].close(contest_id)
    return running


async def write_changes(conn: AsyncConnection, changes: Mapping[str, TallyChanges]) -> None:
    """Adds what programs counted to their tallies."""
    for program_id, (added, reached) in changes.items():
        await tallies.add(conn, program_id, added, reached)


async def reverse_stored_effects(
    conn: AsyncConnection,
    pacing: Pacing[Any],
    plans: ProgramPlans,
    stored: Iterable[StoredConversion],
    reversals: Mapping[ConversionKey, Sequence[Reversal]],
    new: Mapping[ReversalKey, int],
) -> None:
    """Takes out of the tallies what reversals take back of stored conversions. `new`: the positions of those among all
    `reversals` of the conversions that were not there before."""
    programs = plans.with_order
    counted = [each for each in stored if each.plan_version and each.conversion.program_id in programs]
    if not counted:
        return
    await plans.compile(conn, {(each.conversion.program_id, each.plan_version) for each in counted})
    paid = [(plans.plan(each.conversion.program_id, each.plan_version), each) for each in counted]
    prepared = await pacing.make(prepare(plan, each.conversion) for plan, each in paid)
    running = await load_running(conn, programs, prepared)
    rejections = await holds.load_rejections(conn, [each.conversion.key for plan, each in paid if plan.waits])

    def reverse_each() -> Iterator[None]:
        for plan, each in paid:
            known = reversals[each.conversion.key]
            later = [(one, new[one.key]) for one in known if one.key in new]
            earlier = [one for one in known if one.key not in new]
            rule_ids, _ = rejections.get(each.conversion.key, NO_REJECTION)
            reverse_effects(plan, each.conversion, each.snapshot, earlier, later, running[plan.program_id], rule_ids)
            yield

    await pacing.make(reverse_each())
    await write_changes(conn, {program_id: each.take_changes() for program_id, each in running.items()})


async def write_released_headroom(
    conn: AsyncConnection,
    deciding: Beside,
    plan: Plan,
    stored: StoredConversion,
    earlier: Sequence[Reversal],
    rejection: Rejection,
) -> int:
    """Takes what a person rejects out of the tallies; returns the position of the rejection."""
    if plan.is_stateful:
        running = RunningTallies({})
        facts = stored.conversion, stored.snapshot, earlier
        await deciding.run_without_rests(release_headroom, plan, *facts, rejection, running)
        await tallies.add(conn, plan.program_id, running.changes, running.reached)
    return (await tallies.draw_positions(conn, 1))[0]
