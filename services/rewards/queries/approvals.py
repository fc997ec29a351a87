"""Rewards that wait for a person."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from chassis.pages import MAX_PAGE_BYTES
from services.rewards.domain.reward import RewardView
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import conversions, holds, rewards
from services.rewards.store.view import on_one_snapshot

_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
_MIN_REWARD_BYTES = 150
"""The length of a short reward in an answer: no more rewards are read than a page of such ones holds."""


class PendingConversion(NamedTuple):
    """A conversion with rewards that wait for approval."""

    conversion_id: str
    earliest: datetime
    """The first of the times before which their holds cannot end, whatever anybody says."""
    rewards: Sequence[RewardView]


class PendingPage(NamedTuple):
    """Conversions that wait for approval, oldest first."""

    conversions: Sequence[PendingConversion]
    has_more: bool
    """Whether others wait behind these."""


async def list_pending(deps: QueryDeps, program_id: str, after: tuple[datetime, str] | None, limit: int) -> PendingPage:
    """At most `limit` conversions that follow `after` (time, conversion); fewer where their rewards fill a page, or
    they are long themselves."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        await require_plans(deps, conn, program_id)
        waiting_keys = await holds.pending(conn, program_id, after or (_BEFORE_ALL, ""), limit + 1)
        wait_times = {key: moment for moment, key in waiting_keys[:limit]}
        stored = await conversions.load_in_turn(conn, list(wait_times))
        pending: list[PendingConversion] = []
        left = MAX_PAGE_BYTES // _MIN_REWARD_BYTES
        for conversion in [each.conversion for each in stored.items]:
            if left < 0:
                break
            views = await rewards.of_conversion(conn, conversion, rewards.FIRST_ID, rewards.ALL)
            awaiting = [each for each in views if each.awaits_approval and each.net_minor]
            pending.append(PendingConversion(conversion.conversion_id, wait_times[conversion.key], awaiting))
            left -= len(awaiting)
    return PendingPage(pending, len(waiting_keys) > len(pending))
