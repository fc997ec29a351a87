"""Redemptions."""

from upline.rewards.v1 import redemption_pb2

from chassis.errors import not_found
from services.rewards.queries.deps import QueryDeps
from services.rewards.store import redemptions
from services.rewards.wire.redemptions import redemption_message


async def get_redemption(
    deps: QueryDeps, request: redemption_pb2.GetRedemptionRequest
) -> redemption_pb2.GetRedemptionResponse:
    """One redemption."""
    async with deps.database.transaction() as conn:
        found = await redemptions.load(conn, request.program_id, request.redemption_id)
    if found is None:
        raise not_found("redemption", request.redemption_id)
    return redemption_pb2.GetRedemptionResponse(redemption=redemption_message(found))
