"""upline.rewards.v1.ApprovalService."""

from dataclasses import dataclass

from upline.rewards.v1 import approval_pb2

from chassis.server import Context
from services.rewards.commands.approvals import approve, reject
from services.rewards.commands.deps import Deps
from services.rewards.queries.approvals import list_pending, rewards_of
from services.rewards.queries.deps import QueryDeps


@dataclass(frozen=True, slots=True)
class ApprovalServicer:
    """Rewards that wait for a person."""

    deps: Deps
    queries: QueryDeps

    async def ListPendingApprovals(
        self, request: approval_pb2.ListPendingApprovalsRequest, _context: Context
    ) -> approval_pb2.ListPendingApprovalsResponse:
        return await list_pending(self.queries, request)

    async def ApproveRewards(
        self, request: approval_pb2.ApproveRewardsRequest, _context: Context
    ) -> approval_pb2.ApproveRewardsResponse:
        await approve(self.deps, request)
        rewards = await rewards_of(self.queries, request.program_id, request.conversion_id)
        return approval_pb2.ApproveRewardsResponse(rewards=rewards)

    async def RejectRewards(
        self, request: approval_pb2.RejectRewardsRequest, _context: Context
    ) -> approval_pb2.RejectRewardsResponse:
        await reject(self.deps, request)
        rewards = await rewards_of(self.queries, request.program_id, request.conversion_id)
        return approval_pb2.RejectRewardsResponse(rewards=rewards)
