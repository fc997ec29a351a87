"""Holds that end, and balances that catch up with their deltas."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import TypeVar

from chassis import outbox
from chassis.isolation import isolating
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.domain.ledger import Reward, Transfer
from services.rewards.domain.settle.clawback import PostedReward
from services.rewards.domain.settle.holds import release, release_ended
from services.rewards.store import conversions, holds, ledger
from services.rewards.store.holds import WaitingHold
from services.rewards.store.ledger import DueHold

HOLDS_A_TRANSACTION = 500
DELTAS_A_TRANSACTION = 20_000

Hold = TypeVar("Hold", DueHold, WaitingHold)


async def release_due_holds(deps: Deps) -> int:
    """Releases holds whose time has come; returns how many there were."""
    now = deps.clock.now()

    async def after(last: DueHold | None) -> list[DueHold]:
        async with deps.database.transaction() as conn:
            return await ledger.due_holds(conn, now, last, HOLDS_A_TRANSACTION)

    return await _release_all(deps, after, partial(_release_due, deps))


async def release_ended_waits(deps: Deps) -> int:
    """Releases holds for which everything has happened; returns how many there were."""
    now = deps.clock.now()

    async def after(last: WaitingHold | None) -> list[WaitingHold]:
        async with deps.database.transaction() as conn:
            return await holds.ended_holds(conn, now, last, HOLDS_A_TRANSACTION)

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
    """Releases parts of holds, a transaction for each, until no part comes `after` the last hold of the one before.

    A hold that cannot be released keeps no other from it: the first error is raised after the last of them.
    """
    failures: list[Exception] = []
    count = 0
    part = await after(None)
    while part:
        failures += [error for _, error in await isolating(deps.database, part, attrgetter("program_id"), work)]
        count += len(part)
        part = await after(part[-1])
    if count:
        deps.relay.wake()
    if failures:
        raise failures[0]
    return count


async def _release_due(deps: Deps, holds: Sequence[DueHold]) -> None:
    """Releases holds in one transaction. A hold's row is locked first, and a reversal locks it too, so a reward is
    released or taken back from its hold, never both."""
    async with deps.database.transaction() as conn:
        due = await ledger.claim_holds(conn, holds)
        if not due:
            return
        stored = await conversions.load_many(conn, {each.key for each in due})
        posted = await ledger.load_posted(conn, [each.conversion for each in stored.values()], set(due))
        versions = await deps.plans.load(conn, {each.program_id for each in due})
        transfers: list[Transfer] = []
        facts = []
        for each in due:
            paid, rewards = stored[each.key], posted[each.key]
            moves = release(each.program_id, each.conversion_id, each.due_time, _held_until(each.due_time, rewards))
            if moves:
                transfers += moves
                assets = versions[each.program_id].version(paid.plan_version).assets
                facts.append(events.released(paid.conversion, each.due_time, _pairs(rewards, moves), assets))
        await ledger.post(conn, [], transfers, [])
        await ledger.end_holds(conn, due)
        await outbox.append(conn, events.messages(facts))


async def _release_ended(deps: Deps, waiting: Sequence[WaitingHold]) -> None:
    async with deps.database.transaction() as conn:
        ended = await holds.claim(conn, waiting)
        if not ended:
            return
        stored = await conversions.load_many(conn, {each.key for each in ended})
        held = await ledger.lock_holds(conn, [each.conversion for each in stored.values()])
        posted = await ledger.load_posted(conn, [each.conversion for each in stored.values()], held)
        versions = await deps.plans.load(conn, {each.program_id for each in ended})
        transfers: list[Transfer] = []
        facts = []
        for each in ended:
            paid, rewards = stored[each.key], posted[each.key]
            moves = release_ended(each, _held_until(each.mark, rewards))
            if moves:
                transfers += moves
                assets = versions[each.program_id].version(paid.plan_version).assets
                facts.append(events.released(paid.conversion, each.time, _pairs(rewards, moves), assets))
        await ledger.post(conn, [], transfers, [])
        await ledger.end_holds(conn, [DueHold(each.program_id, each.conversion_id, each.mark) for each in ended])
        await holds.end(conn, ended)
        await outbox.append(conn, events.messages(facts))


def _held_until(due_time: datetime, posted: list[PostedReward]) -> list[PostedReward]:
    return [each for each in posted if each.reward.hold_until == due_time]


def _pairs(posted: list[PostedReward], transfers: tuple[Transfer, ...]) -> list[tuple[Reward, Transfer]]:
    """Transfers with the rewards that they are about."""
    rewards = {each.reward.reward_id: each.reward for each in posted}
    return [(rewards[each.reward_id], each) for each in transfers]
