"""RedemptionService: what participants do with what they earned."""

from dataclasses import dataclass

from upline.rewards.v1 import redemption_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from services.rewards.commands import exchanges, redemptions
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.redemptions import get_redemption
from services.rewards.wire.redemptions import (
    exchange_message,
    gift_message,
    purchase_message,
    read_asked_minor,
    read_requested_redemption,
    redemption_message,
)


@dataclass(frozen=True, slots=True)
class RedemptionServicer:
    """Uses of what was earned. Methods are named as the contract names them, which says the rest."""

    service = redemption_pb2.DESCRIPTOR.services_by_name["RedemptionService"]

    deps: Deps
    queries: QueryDeps

    async def AuthorizeRedemption(
        self, request: redemption_pb2.AuthorizeRedemptionRequest, _context: Context
    ) -> redemption_pb2.AuthorizeRedemptionResponse:
        redemption = await redemptions.authorize_redemption(self.deps, read_requested_redemption(request))
        return redemption_pb2.AuthorizeRedemptionResponse(redemption=redemption_message(redemption))

    async def CaptureRedemption(
        self, request: redemption_pb2.CaptureRedemptionRequest, _context: Context
    ) -> redemption_pb2.CaptureRedemptionResponse:
        redemption = await redemptions.capture_redemption(
            self.deps, request.program_id, request.redemption_id, read_asked_minor(request)
        )
        return redemption_pb2.CaptureRedemptionResponse(redemption=redemption_message(redemption))

    async def VoidRedemption(
        self, request: redemption_pb2.VoidRedemptionRequest, _context: Context
    ) -> redemption_pb2.VoidRedemptionResponse:
        redemption = await redemptions.void_redemption(self.deps, request.program_id, request.redemption_id)
        return redemption_pb2.VoidRedemptionResponse(redemption=redemption_message(redemption))

    async def RefundRedemption(
        self, request: redemption_pb2.RefundRedemptionRequest, _context: Context
    ) -> redemption_pb2.RefundRedemptionResponse:
        redemption = await redemptions.refund_redemption(
            self.deps, request.program_id, request.redemption_id, request.refund_id, read_asked_minor(request)
        )
        return redemption_pb2.RefundRedemptionResponse(redemption=redemption_message(redemption))

    async def GetRedemption(
        self, request: redemption_pb2.GetRedemptionRequest, _context: Context
    ) -> redemption_pb2.GetRedemptionResponse:
        redemption = await get_redemption(self.queries, request.program_id, request.redemption_id)
        return redemption_pb2.GetRedemptionResponse(redemption=redemption_message(redemption))

    async def PurchaseItem(
        self, request: redemption_pb2.PurchaseItemRequest, _context: Context
    ) -> redemption_pb2.PurchaseItemResponse:
        call = call_of(request, redemption_pb2.PurchaseItemResponse, purchase_message, request.purchase_id)
        return await exchanges.purchase_item(
            self.deps, call, request.participant_id, request.sku, request.quantity or 1
        )

    async def ExchangeAsset(
        self, request: redemption_pb2.ExchangeAssetRequest, _context: Context
    ) -> redemption_pb2.ExchangeAssetResponse:
        call = call_of(request, redemption_pb2.ExchangeAssetResponse, exchange_message, request.exchange_id)
        return await exchanges.exchange_asset(
            self.deps, call, request.participant_id, request.asset, request.amount_minor, request.into
        )

    async def GiveAsset(
        self, request: redemption_pb2.GiveAssetRequest, _context: Context
    ) -> redemption_pb2.GiveAssetResponse:
        call = call_of(request, redemption_pb2.GiveAssetResponse, gift_message, request.gift_id)
        return await exchanges.give_asset(
            self.deps, call, request.participant_id, request.recipient_id, request.asset, request.amount_minor
        )
