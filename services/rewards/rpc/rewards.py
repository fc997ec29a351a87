"""RewardService: rewards and their explanations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from upline.rewards.v1 import reward_pb2

from chassis.handlers import Context
from chassis.pages import Pager, Portion, fitting, page_size
from services.rewards.domain.explain.decision import explain_conversion as conversion_sentence
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.explain import ExplainedConversion, explain_conversion, explain_reward
from services.rewards.queries.rewards import get_program_totals, list_beneficiary_rewards, list_conversion_rewards
from services.rewards.wire.explanations import derivation_message, read_locale, read_reward_id, revision_message
from services.rewards.wire.rewards import reward_message, totals_message

DEFAULT_TOP_COUNT = 3


@dataclass(frozen=True, slots=True)
class RewardServicer:
    """Rewards and explanations. Methods are named as the contract names them, which says the rest."""

    service = reward_pb2.DESCRIPTOR.services_by_name["RewardService"]

    queries: QueryDeps
    pager: Pager

    async def ListRewards(
        self, request: reward_pb2.ListRewardsRequest, _context: Context
    ) -> reward_pb2.ListRewardsResponse:
        size = page_size(request.page_size)
        position = self.pager.position(request, request.page_token)
        last_id = position[0] if position else ""
        if request.WhichOneof("of") == "beneficiary_id":
            rewards = await list_beneficiary_rewards(
                self.queries, request.program_id, request.beneficiary_id, last_id, size + 1
            )
        else:
            rewards = await list_conversion_rewards(
                self.queries, request.program_id, request.conversion_id, last_id, size + 1
            )
        messages, token = self.pager.page(request, rewards, size, reward_message, lambda last: [last.reward_id])
        return reward_pb2.ListRewardsResponse(rewards=messages, next_page_token=token)

    async def ExplainReward(
        self, request: reward_pb2.ExplainRewardRequest, _context: Context
    ) -> reward_pb2.ExplainRewardResponse:
        locale = read_locale(request.locale)
        explained = await explain_reward(self.queries, request.program_id, read_reward_id(request.reward_id))
        return reward_pb2.ExplainRewardResponse(
            reward=reward_message(explained.reward),
            derivation=derivation_message(explained.plan, explained.conversion, explained.first, locale),
            current=derivation_message(explained.plan, explained.remaining, explained.current, locale),
            revisions=fitting(
                revision_message(each, explained.reward.rejection_reason) for each in explained.revisions
            ),
            revision_count=len(explained.revisions),
        )

    async def ExplainConversion(
        self, request: reward_pb2.ExplainConversionRequest, _context: Context
    ) -> reward_pb2.ExplainConversionResponse:
        locale = read_locale(request.locale)
        position = self.pager.position(request, request.page_token)
        explained = await explain_conversion(self.queries, request.program_id, request.conversion_id)
        return await self.queries.explaining.run(self._explanation, request, position, explained, locale)

    def _explanation(
        self,
        request: reward_pb2.ExplainConversionRequest,
        position: Sequence[Any] | None,
        explained: ExplainedConversion,
        locale: str,
    ) -> reward_pb2.ExplainConversionResponse:
        plan, remaining = explained.plan, explained.remaining
        decisions = [(number, plan, each) for number, each in enumerate(explained.all_decisions, start=1) if plan]
        messages, token = self.pager.page(
            request,
            Portion.whole(decisions[position[0] if position else 0 :]),
            page_size(request.page_size) if request.page_size else len(decisions),
            lambda each: derivation_message(each[1], remaining, each[2], locale),
            lambda last: [last[0]],
        )
        return reward_pb2.ExplainConversionResponse(
            plan_version=explained.plan_version,
            derivations=messages,
            next_page_token=token,
            remaining_minor=remaining.remaining_minor,
            currency_code=remaining.currency_code,
            sentence=conversion_sentence(plan, remaining, explained.decisions, locale),
        )

    async def GetProgramTotals(
        self, request: reward_pb2.GetProgramTotalsRequest, _context: Context
    ) -> reward_pb2.GetProgramTotalsResponse:
        totals = await get_program_totals(self.queries, request.program_id, request.top_count or DEFAULT_TOP_COUNT)
        return totals_message(totals)
