"""What waits for a person."""

from datetime import UTC, datetime
from typing import Any

from upline.rewards.v1 import approval_pb2, reward_pb2

from chassis.pages import Filling, fitting, page_size
from services.rewards.domain.conversion import ConversionKey
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.queries.rewards import reward_message
from services.rewards.store import conversions, reading, waiting

_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


async def rewards_of(deps: QueryDeps, program_id: str, conversion_id: str) -> list[reward_pb2.Reward]:
    """The rewards of a conversion as they stand, as many as fit into an answer."""
    async with deps.database.transaction() as conn:
        kept = await conversions.load(conn, program_id, conversion_id)
        views = (
            await reading.rewards_of_conversion(conn, kept.conversion, reading.FIRST_ID, reading.ALL) if kept else []
        )
    return fitting(reward_message(each) for each in views)


async def list_pending(
    deps: QueryDeps, request: approval_pb2.ListPendingApprovalsRequest
) -> approval_pb2.ListPendingApprovalsResponse:
    """A page of conversions with rewards that wait for approval, oldest first."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    after = (datetime.fromisoformat(position[0]), position[1]) if position else (_BEFORE_ALL, "")
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        await require_plans(deps, conn, request.program_id)
        found = await waiting.pending(conn, request.program_id, after, size + 1)
        kept = await conversions.load_many(conn, {key for _, key in found[:size]})
        filling: Filling[approval_pb2.PendingApproval] = Filling()
        for _, key in found[:size]:
            views = await reading.rewards_of_conversion(conn, kept[key].conversion, reading.FIRST_ID, reading.ALL)
            rewards = fitting(reward_message(each) for each in views if each.awaits_approval and each.net_minor)
            if not filling.add(approval_pb2.PendingApproval(conversion_id=key[1], rewards=rewards)):
                break
    return approval_pb2.ListPendingApprovalsResponse(
        approvals=[each for each in filling.messages if each.rewards],
        next_page_token=deps.pager.next_token(request, found, len(filling.messages), _place_of),
    )


def _place_of(waiting_conversion: tuple[datetime, ConversionKey]) -> list[Any]:
    """Where the list goes on after a conversion."""
    moment, (_, conversion_id) = waiting_conversion
    return [moment.isoformat(), conversion_id]
