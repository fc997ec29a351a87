"""Rewards and totals."""

from uuid import UUID

from upline.rewards.v1 import reward_pb2

from chassis.ids import id_time
from chassis.pages import page_size
from chassis.times import to_timestamp
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import conversions, reading
from services.rewards.store.reading import RewardView

DEFAULT_TOP_COUNT = 3


async def list_rewards(deps: QueryDeps, request: reward_pb2.ListRewardsRequest) -> reward_pb2.ListRewardsResponse:
    """One beneficiary's or one conversion's rewards."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, request.program_id)
        if request.WhichOneof("of") == "beneficiary_id":
            before = position[0] if position else reading.LAST_ID
            views = await reading.rewards_of_beneficiary(
                conn, request.program_id, request.beneficiary_id, before, size + 1
            )
        else:
            kept = await conversions.load(conn, request.program_id, request.conversion_id)
            after = position[0] if position else reading.FIRST_ID
            views = [] if kept is None else await reading.rewards_of_conversion(conn, kept.conversion, after, size + 1)
    rewards, token = deps.pager.page(request, views, size, reward_message, lambda last: [last.reward_id])
    return reward_pb2.ListRewardsResponse(rewards=rewards, next_page_token=token)


async def get_program_totals(
    deps: QueryDeps, request: reward_pb2.GetProgramTotalsRequest
) -> reward_pb2.GetProgramTotalsResponse:
    """What a program has paid, and who holds most."""
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        await require_plans(deps, conn, request.program_id)
        conversion = await reading.conversion_totals(conn, request.program_id)
        assets = await reading.asset_totals(conn, request.program_id)
        taken = await reading.taken_totals(conn, request.program_id)
        top = await reading.top_earners(conn, request.program_id, request.top_count or DEFAULT_TOP_COUNT)
    return reward_pb2.GetProgramTotalsResponse(
        conversion_count=conversion.conversion_count,
        gross_minor=conversion.gross_minor,
        reversal_count=conversion.reversal_count,
        assets=[
            reward_pb2.AssetTotals(
                asset=each.asset,
                reward_count=each.reward_count,
                accrued_minor=each.accrued_minor,
                reversed_minor=taken.get(each.asset, (0, 0))[0],
                rejected_minor=taken.get(each.asset, (0, 0))[1],
                earner_count=each.earner_count,
                top=[
                    reward_pb2.Earner(participant_id=participant_id, amount_minor=amount_minor)
                    for participant_id, amount_minor in top.get(each.asset, [])
                ],
            )
            for each in assets
        ],
    )


def reward_message(view: RewardView) -> reward_pb2.Reward:
    """A reward for the caller."""
    state = reward_pb2.REWARD_STATE_HELD if view.held else reward_pb2.REWARD_STATE_AVAILABLE
    gone = reward_pb2.REWARD_STATE_REJECTED if view.rejection_reason else reward_pb2.REWARD_STATE_REVERSED
    return reward_pb2.Reward(
        reward_id=view.reward_id,
        program_id=view.program_id,
        conversion_id=view.conversion_id,
        rule_id=view.rule_id,
        beneficiary_id=view.beneficiary_id,
        level=view.level,
        asset=view.asset,
        amount_minor=view.amount_minor,
        net_minor=view.net_minor,
        state=gone if view.net_minor == 0 else state,
        hold_until=to_timestamp(view.hold_until) if view.hold_until else None,
        plan_version=view.plan_version,
        create_time=to_timestamp(id_time(UUID(view.reward_id))),
        until_event=view.until_event,
        awaits_approval=view.awaits_approval,
        rejection_reason=view.rejection_reason,
    )
