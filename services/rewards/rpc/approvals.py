"""ApprovalService: a person decides about rewards that wait."""

from dataclasses import dataclass
from datetime import datetime

from upline.rewards.v1 import approval_pb2

from chassis.errors import invalid
from chassis.handlers import Context
from chassis.pages import Pager, fitting, page_size
from services.rewards.commands.approvals import approve, reject
from services.rewards.commands.deps import Deps
from services.rewards.queries.approvals import list_pending
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.rewards import list_conversion_rewards
from services.rewards.wire.rewards import reward_message


@dataclass(frozen=True, slots=True)
class ApprovalServicer:
    """Approvals and rejections. Methods are named as the contract names them, which says the rest."""

    service = approval_pb2.DESCRIPTOR.services_by_name["ApprovalService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def ListPendingApprovals(
        self, request: approval_pb2.ListPendingApprovalsRequest, _context: Context
    ) -> approval_pb2.ListPendingApprovalsResponse:
        position = self.pager.position(request, request.page_token)
        after = (datetime.fromisoformat(position[0]), str(position[1])) if position else None
        page = await list_pending(self.queries, request.program_id, after, page_size(request.page_size))
        approvals = fitting(
            approval_pb2.PendingApproval(
                conversion_id=each.conversion_id, rewards=fitting(reward_message(reward) for reward in each.rewards)
            )
            for each in page.conversions
        )
        token = ""
        if len(approvals) < len(page.conversions) or page.has_more:
            last = page.conversions[len(approvals) - 1]
            token = self.pager.token(request, [last.earliest.isoformat(), last.conversion_id])
        return approval_pb2.ListPendingApprovalsResponse(
            approvals=[each for each in approvals if each.rewards], next_page_token=token
        )

    async def ApproveRewards(
        self, request: approval_pb2.ApproveRewardsRequest, _context: Context
    ) -> approval_pb2.ApproveRewardsResponse:
        await approve(self.deps, request.program_id, request.conversion_id)
        rewards = await list_conversion_rewards(self.queries, request.program_id, request.conversion_id, "")
        return approval_pb2.ApproveRewardsResponse(rewards=fitting(map(reward_message, rewards.items)))

    async def RejectRewards(
        self, request: approval_pb2.RejectRewardsRequest, _context: Context
    ) -> approval_pb2.RejectRewardsResponse:
        if "\x00" in request.reason:
            raise invalid("reason", "must not contain the character U+0000")
        await reject(self.deps, request.program_id, request.conversion_id, request.reason)
        rewards = await list_conversion_rewards(self.queries, request.program_id, request.conversion_id, "")
        return approval_pb2.RejectRewardsResponse(rewards=fitting(map(reward_message, rewards.items)))
