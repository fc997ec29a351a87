"""Redemptions, purchases and exchanges: between the contract and what is done with a wallet."""

from upline.rewards.v1 import redemption_pb2

from chassis.errors import invalid
from chassis.times import to_timestamp
from services.rewards.domain.wallet.redemption import Redemption, RequestedRedemption
from services.rewards.domain.wallet.wallet import WalletTransfer


def read_requested_redemption(request: redemption_pb2.AuthorizeRedemptionRequest) -> RequestedRedemption:
    """The redemption that a caller asks for. INVALID_ARGUMENT for an order of nothing."""
    if request.order_amount.amount_minor <= 0:
        raise invalid("order_amount.amount_minor", "must be more than 0")
    return RequestedRedemption(
        program_id=request.program_id,
        redemption_id=request.redemption_id,
        participant_id=request.participant_id,
        asset=request.asset,
        amount_minor=request.amount_minor,
        order_id=request.order_id,
        order_minor=request.order_amount.amount_minor,
        order_currency_code=request.order_amount.currency_code,
    )


def read_asked_minor(
    request: redemption_pb2.CaptureRedemptionRequest | redemption_pb2.RefundRedemptionRequest,
) -> int | None:
    """The amount to capture or refund, None for all of it. INVALID_ARGUMENT where that is not said, or said twice: an
    amount that was left out is not the whole."""
    if request.whole and request.amount_minor:
        raise invalid("whole", f"is true, and `amount_minor` is {request.amount_minor}: say one of them")
    if not (request.whole or request.amount_minor):
        raise invalid("whole", "say how much: true for all of it, or `amount_minor` above 0 for a part")
    return None if request.whole else request.amount_minor


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


def purchase_message(payment: WalletTransfer) -> redemption_pb2.PurchaseItemResponse:
    """The answer to a purchase: the price that was paid."""
    return redemption_pb2.PurchaseItemResponse(asset=payment.asset, amount_minor=payment.amount_minor)


def exchange_message(received_minor: int) -> redemption_pb2.ExchangeAssetResponse:
    """The answer to an exchange: the amount that was received."""
    return redemption_pb2.ExchangeAssetResponse(into_amount_minor=received_minor)


def gift_message(_: None) -> redemption_pb2.GiveAssetResponse:
    """The answer to a gift, which says only that it was made."""
    return redemption_pb2.GiveAssetResponse()
