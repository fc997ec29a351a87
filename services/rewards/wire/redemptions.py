"""Redemptions out."""

from upline.rewards.v1 import redemption_pb2

from chassis.times import to_timestamp
from services.rewards.domain.wallet.redemption import Redemption


def redemption_message(redemption: Redemption) -> redemption_pb2.Redemption:
    """A redemption for the caller."""
    return redemption_pb2.Redemption(
        redemption_id=redemption.redemption_id,
        program_id=redemption.program_id,
        participant_id=redemption.participant_id,
        asset=redemption.asset,
        authorized_minor=redemption.authorized_minor,
        captured_minor=redemption.captured_minor,
        refunded_minor=redemption.refunded_minor,
        state=redemption_pb2.RedemptionState.ValueType(redemption.state),
        order_id=redemption.order_id,
        worth_minor=redemption.worth_minor,
        create_time=to_timestamp(redemption.create_time),
    )
