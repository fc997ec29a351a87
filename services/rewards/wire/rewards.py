"""Rewards and their sums out."""

from uuid import UUID

from upline.rewards.v1 import reward_pb2

from chassis.ids import id_time
from chassis.times import to_timestamp
from services.rewards.domain.reward import AssetTotals, ProgramTotals, RewardView


def reward_message(reward: RewardView) -> reward_pb2.Reward:
    """A reward for the caller."""
    standing = reward_pb2.REWARD_STATE_HELD if reward.held else reward_pb2.REWARD_STATE_AVAILABLE
    gone = reward_pb2.REWARD_STATE_REJECTED if reward.rejection_reason else reward_pb2.REWARD_STATE_REVERSED
    return reward_pb2.Reward(
        reward_id=reward.reward_id,
        program_id=reward.program_id,
        conversion_id=reward.conversion_id,
        rule_id=reward.rule_id,
        beneficiary_id=reward.beneficiary_id,
        level=reward.level,
        asset=reward.asset,
        amount_minor=reward.amount_minor,
        net_minor=reward.net_minor,
        state=gone if reward.net_minor == 0 else standing,
        hold_until=to_timestamp(reward.hold_until) if reward.hold_until else None,
        plan_version=reward.plan_version,
        create_time=to_timestamp(id_time(UUID(reward.reward_id))),
        until_event=reward.until_event,
        awaits_approval=reward.awaits_approval,
        rejection_reason=reward.rejection_reason,
    )


def totals_message(totals: ProgramTotals) -> reward_pb2.GetProgramTotalsResponse:
    """The sums of a program for the caller."""
    return reward_pb2.GetProgramTotalsResponse(
        conversion_count=totals.conversion_count,
        gross_minor=totals.gross_minor,
        reversal_count=totals.reversal_count,
        assets=[_asset_totals_message(each) for each in totals.assets],
    )


def _asset_totals_message(totals: AssetTotals) -> reward_pb2.AssetTotals:
    return reward_pb2.AssetTotals(
        asset=totals.asset,
        reward_count=totals.reward_count,
        accrued_minor=totals.accrued_minor,
        reversed_minor=totals.reversed_minor,
        rejected_minor=totals.rejected_minor,
        earner_count=totals.earner_count,
        top=[
            reward_pb2.Earner(participant_id=participant_id, amount_minor=amount_minor)
            for participant_id, amount_minor in totals.top
        ],
    )
