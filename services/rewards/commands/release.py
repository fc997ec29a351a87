"""Holds that end, and balances that catch up with their deltas."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from chassis import outbox
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.commands.one_by_one import isolating
from services.rewards.domain.ledger import Reward, Transfer
from services.rewards.domain.settle.settlement import PostedReward, release, release_ended
from services.rewards.store import conversions, ledger, waiting

HOLDS_A_TRANSACTION = 500
DELTAS_A_TRANSACTION = 20_000

Hold = TypeVar("Hold", ledger.DueHold, waiting.WaitingHold)


async def release_due_holds(deps: Deps) -> int:
    """Releases holds whose time has come; returns how many there were."""
    now = deps.clock.now()

    async def after(last: ledger.DueHold | None) -> list[ledger.DueHold]:
        async with deps.database.transaction() as conn:
            return await ledger.due_holds(conn, now, last, HOLDS_A_TRANSACTION)

    return await _release_all(deps, after, partial(_release_due, deps))


async def release_ended_waits(deps: Deps) -> int:
    """Releases holds for which everything has happened; returns how many there were."""
    now = deps.clock.now()

    async def after(last: waiting.WaitingHold | None) -> list[waiting.WaitingHold]:
        async with deps.database.transaction() as conn:
            return await waiting.ended_holds(conn, now, last, HOLDS_A_TRANSACTION)

    return await _release_all(deps, after, partial(_release_ended, deps))


async def roll_up_balances(deps: Deps) -> int:
    """Adds pending deltas to balances, up to DELTAS_A_TRANSACTION; returns how many."""
    async with deps.database.transaction() as conn:
        return await ledger.roll_up(conn, DELTAS_A_TRANSACTION)


async def _release_all(
    deps: Deps,
    after: Callable[[Hold | None], Awaitable[list[Hold]]],
    work: Callable[[Sequence[Hold]], Awaitable[None]],
) -> int:
    """Releases what `after` tells, a transaction for each part. A hold that cannot be released keeps no other from it:
    the first error is raised after the last of them."""
    failures: list[Exception] = []
    count = 0
    part = await after(None)
    while part:
        failures += await isolating(part, work)
        count += len(part)
        part = await after(part[-1])
    if count:
        deps.relay.wake()
    if failures:
        raise failures[0]
    return count


async def _release_due(deps: Deps, holds: Sequence[ledger.DueHold]) -> None:
    """The hold's row is locked first and a reversal locks it too, so a reward is released or taken back from its hold,
    never both."""
    async with deps.database.transaction() as conn:
        due = await ledger.claim_holds(conn, holds)
        if not due:
            return
        kept = await conversions.load_many(conn, {(program_id, conversion_id) for program_id, conversion_id, _ in due})
        posted = await ledger.load_posted(conn, [each.conversion for each in kept.values()], set(due))
        versions = await deps.plans.load(conn, {program_id for program_id, _, _ in due})
        transfers: list[Transfer] = []
        facts = []
        for program_id, conversion_id, due_time in due:
            each = kept[program_id, conversion_id]
            moved = release(program_id, conversion_id, due_time, _due(posted[each.conversion.key], due_time))
            if moved:
                transfers += moved
                rewards = {one.reward.reward_id: one.reward for one in posted[each.conversion.key]}
                assets = versions[program_id].version(each.plan_version).assets
                facts.append(events.released(each.conversion, due_time, _paired(rewards, moved), assets))
        await ledger.post(conn, [], transfers, [])
        await ledger.end_holds(conn, due)
        await outbox.append(conn, events.messages(facts))


async def _release_ended(deps: Deps, holds: Sequence[waiting.WaitingHold]) -> None:
    async with deps.database.transaction() as conn:
        ended = await waiting.claim(conn, holds)
        if not ended:
            return
        kept = await conversions.load_many(conn, {(each.program_id, each.conversion_id) for each in ended})
        held = await ledger.lock_holds(conn, [each.conversion for each in kept.values()])
        posted = await ledger.load_posted(conn, [each.conversion for each in kept.values()], held)
        versions = await deps.plans.load(conn, {each.program_id for each in ended})
        transfers: list[Transfer] = []
        facts = []
        for each in ended:
            of = kept[each.program_id, each.conversion_id]
            rewards = posted[of.conversion.key]
            moved = release_ended(each, _due(rewards, each.mark))
            if moved:
                transfers += moved
                by_id = {one.reward.reward_id: one.reward for one in rewards}
                assets = versions[each.program_id].version(of.plan_version).assets
                facts.append(events.released(of.conversion, each.time, _paired(by_id, moved), assets))
        await ledger.post(conn, [], transfers, [])
        await ledger.end_holds(conn, [(each.program_id, each.conversion_id, each.mark) for each in ended])
        await waiting.end(conn, ended)
        await outbox.append(conn, events.messages(facts))


def _due(posted: list[PostedReward], due_time: object) -> list[PostedReward]:
    return [each for each in posted if each.reward.hold_until == due_time]


def _paired(rewards: dict[str, Reward], transfers: tuple[Transfer, ...]) -> list[tuple[Reward, Transfer]]:
    return [(rewards[each.reward_id], each) for each in transfers]
