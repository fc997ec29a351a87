"""Payouts as they stand."""

from datetime import datetime

from chassis.errors import not_found
from chassis.pages import Portion
from services.rewards.domain.wallet.payout import Payout
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import payouts


async def get_payout(deps: QueryDeps, program_id: str, payout_id: str) -> Payout:
    """One payout."""
    async with deps.database.transaction() as conn:
        payout = await payouts.load(conn, program_id, payout_id)
    if payout is None:
        raise not_found("payout", payout_id)
    return payout


async def list_payouts(
    deps: QueryDeps, program_id: str, participant_id: str, state: int, before: tuple[datetime, str] | None, limit: int
) -> Portion[Payout]:
    """Payouts older than `before`, newest first; of one participant or all (empty), in one state or all (0)."""
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, program_id)
        return await payouts.page(conn, program_id, participant_id, state, before, limit)
