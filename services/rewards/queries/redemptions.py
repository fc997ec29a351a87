"""Redemptions as they stand."""

from chassis.errors import not_found
from services.rewards.domain.wallet.redemption import Redemption
from services.rewards.queries.deps import QueryDeps
from services.rewards.store import redemptions


async def get_redemption(deps: QueryDeps, program_id: str, redemption_id: str) -> Redemption:
    """One redemption."""
    async with deps.database.transaction() as conn:
        redemption = await redemptions.load(conn, program_id, redemption_id)
    if redemption is None:
        raise not_found("redemption", redemption_id)
    return redemption
