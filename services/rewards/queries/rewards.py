"""Rewards and their sums."""

from chassis.pages import Portion
from services.rewards.domain.reward import ProgramTotals, RewardView
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import conversions, rewards
from services.rewards.store.view import on_one_snapshot


async def list_beneficiary_rewards(
    deps: QueryDeps, program_id: str, beneficiary_id: str, before: str, limit: int
) -> Portion[RewardView]:
    """The rewards of one beneficiary with ids below `before`, or all if it is empty, newest first."""
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, program_id)
        return await rewards.of_beneficiary(conn, program_id, beneficiary_id, before or rewards.LAST_ID, limit)


async def list_conversion_rewards(
    deps: QueryDeps, program_id: str, conversion_id: str, after: str, limit: int = rewards.ALL
) -> Portion[RewardView]:
    """The rewards of one conversion with ids above `after`, or all if it is empty, in the order of rules and levels."""
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, program_id)
        stored = await conversions.load(conn, program_id, conversion_id)
        if stored is None:
            return Portion.whole([])
        return await rewards.of_conversion(conn, stored.conversion, after or rewards.FIRST_ID, limit)


async def get_program_totals(deps: QueryDeps, program_id: str, top_count: int) -> ProgramTotals:
    """The sums of a program, and the `top_count` participants who hold most of each asset."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        await require_plans(deps, conn, program_id)
        return await rewards.program_totals(conn, program_id, top_count)
