"""upline.rewards.v1.RewardService."""

from dataclasses import dataclass

from upline.rewards.v1 import reward_pb2

from chassis.server import Context
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.explain import explain_conversion_now, explain_reward
from services.rewards.queries.rewards import get_program_totals, list_rewards


@dataclass(frozen=True, slots=True)
class RewardServicer:
    """Rewards and explanations."""

    queries: QueryDeps

    async def ListRewards(
        self, request: reward_pb2.ListRewardsRequest, _context: Context
    ) -> reward_pb2.ListRewardsResponse:
        return await list_rewards(self.queries, request)

    async def ExplainReward(
        self, request: reward_pb2.ExplainRewardRequest, _context: Context
    ) -> reward_pb2.ExplainRewardResponse:
        return await explain_reward(self.queries, request)

    async def ExplainConversion(
        self, request: reward_pb2.ExplainConversionRequest, _context: Context
    ) -> reward_pb2.ExplainConversionResponse:
        return await explain_conversion_now(self.queries, request)

    async def GetProgramTotals(
        self, request: reward_pb2.GetProgramTotalsRequest, _context: Context
    ) -> reward_pb2.GetProgramTotalsResponse:
        return await get_program_totals(self.queries, request)
