"""Payouts."""

from datetime import datetime

from upline.rewards.v1 import payout_pb2

from chassis.errors import not_found
from chassis.pages import page_size
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import payouts
from services.rewards.wire.payouts import payout_message


async def get_payout(deps: QueryDeps, request: payout_pb2.GetPayoutRequest) -> payout_pb2.GetPayoutResponse:
    """One payout."""
    async with deps.database.transaction() as conn:
        found = await payouts.load(conn, request.program_id, request.payout_id)
    if found is None:
        raise not_found("payout", request.payout_id)
    return payout_pb2.GetPayoutResponse(payout=payout_message(found))


async def list_payouts(deps: QueryDeps, request: payout_pb2.ListPayoutsRequest) -> payout_pb2.ListPayoutsResponse:
    """Payouts, newest first."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    before = (datetime.fromisoformat(position[0]), str(position[1])) if position else None
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, request.program_id)
        found = await payouts.page(
            conn, request.program_id, request.participant_id, int(request.state), before, size + 1
        )
    told, token = deps.pager.page(
        request, found, size, payout_message, lambda last: [last.create_time.isoformat(), last.payout_id]
    )
    return payout_pb2.ListPayoutsResponse(payouts=told, next_page_token=token)
