"""upline.rewards.v1.RedemptionService."""

from dataclasses import dataclass

from upline.rewards.v1 import redemption_pb2

from chassis.server import Context
from services.rewards.commands import exchanges, redemptions
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.redemptions import get_redemption
from services.rewards.wire.redemptions import redemption_message


@dataclass(frozen=True, slots=True)
class RedemptionServicer:
    """Using what was earned."""

    deps: Deps
    queries: QueryDeps

    async def AuthorizeRedemption(
        self, request: redemption_pb2.AuthorizeRedemptionRequest, _context: Context
    ) -> redemption_pb2.AuthorizeRedemptionResponse:
        made = await redemptions.authorize_redemption(self.deps, request)
        return redemption_pb2.AuthorizeRedemptionResponse(redemption=redemption_message(made))

    async def CaptureRedemption(
        self, request: redemption_pb2.CaptureRedemptionRequest, _context: Context
    ) -> redemption_pb2.CaptureRedemptionResponse:
        changed = await redemptions.capture_redemption(self.deps, request)
        return redemption_pb2.CaptureRedemptionResponse(redemption=redemption_message(changed))

    async def VoidRedemption(
        self, request: redemption_pb2.VoidRedemptionRequest, _context: Context
    ) -> redemption_pb2.VoidRedemptionResponse:
        changed = await redemptions.void_redemption(self.deps, request)
        return redemption_pb2.VoidRedemptionResponse(redemption=redemption_message(changed))

    async def RefundRedemption(
        self, request: redemption_pb2.RefundRedemptionRequest, _context: Context
    ) -> redemption_pb2.RefundRedemptionResponse:
        changed = await redemptions.refund_redemption(self.deps, request)
        return redemption_pb2.RefundRedemptionResponse(redemption=redemption_message(changed))

    async def GetRedemption(
        self, request: redemption_pb2.GetRedemptionRequest, _context: Context
    ) -> redemption_pb2.GetRedemptionResponse:
        return await get_redemption(self.queries, request)

    async def PurchaseItem(
        self, request: redemption_pb2.PurchaseItemRequest, _context: Context
    ) -> redemption_pb2.PurchaseItemResponse:
        return await exchanges.purchase_item(self.deps, request)

    async def ExchangeAsset(
        self, request: redemption_pb2.ExchangeAssetRequest, _context: Context
    ) -> redemption_pb2.ExchangeAssetResponse:
        return await exchanges.exchange_asset(self.deps, request)

    async def GiveAsset(
        self, request: redemption_pb2.GiveAssetRequest, _context: Context
    ) -> redemption_pb2.GiveAssetResponse:
        return await exchanges.give_asset(self.deps, request)
