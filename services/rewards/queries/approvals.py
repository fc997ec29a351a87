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
_SHORT_REWARD_BYTES = 150
"""The length of a reward in an answer, without its texts."""


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
        left_bytes = MAX_PAGE_BYTES
        for conversion in [each.conversion for each in stored.items]:
            if left_bytes < 0:
                break
            awaiting = [each for each in (await rewards.pending(conn, conversion)).items if each.net_minor]
            pending.append(PendingConversion(conversion.conversion_id, wait_times[conversion.key], awaiting))
            left_bytes -= sum(map(_reward_bytes, awaiting))
    return PendingPage(pending, len(waiting_keys) > len(pending))


def _reward_bytes(reward: RewardView) -> int:
    texts = reward.program_id, reward.conversion_id, reward.rule_id, reward.beneficiary_id, reward.until_event
    return _SHORT_REWARD_BYTES + len("".join(texts).encode())
