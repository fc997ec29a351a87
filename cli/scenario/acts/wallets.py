"""Steps of those who spend what they earned: redemptions, purchases, exchanges, gifts."""

from typing import Any

from upline.rewards.v1 import redemption_pb2

from cli.client import CALL_SECONDS
from cli.scenario.acts.table import Acts
from cli.scenario.shapes.wallets import Buy, Capture, Exchange, Gift, GiveBack, Redeem, Void
from cli.scenario.world import World


async def _redeem(world: World, action: Redeem) -> None:
    world.redeemed[action.id] = action.asset
    await world.client.redemptions.AuthorizeRedemption(
        redemption_pb2.AuthorizeRedemptionRequest(
            program_id=world.program_id,
            redemption_id=action.id,
            participant_id=action.by,
            asset=action.asset,
            amount_minor=world.minor(action.asset, action.amount),
            order_id=action.order,
            order_amount=world.money(action.of),
        ),
        timeout=CALL_SECONDS,
    )


async def _capture(world: World, action: Capture) -> None:
    await world.client.redemptions.CaptureRedemption(
        redemption_pb2.CaptureRedemptionRequest(
            program_id=world.program_id,
            redemption_id=action.redemption,
            **_extent(world, action),
        ),
        timeout=CALL_SECONDS,
    )


def _extent(world: World, action: Capture | GiveBack) -> dict[str, Any]:
    """How much of a redemption: all of it where the step names no amount."""
    if action.amount is None:
        return {"whole": True}
    return {"amount_minor": world.minor(world.redeemed[action.redemption], action.amount)}


async def _void(world: World, action: Void) -> None:
    await world.client.redemptions.VoidRedemption(
        redemption_pb2.VoidRedemptionRequest(program_id=world.program_id, redemption_id=action.redemption),
        timeout=CALL_SECONDS,
    )


async def _give_back(world: World, action: GiveBack) -> None:
    await world.client.redemptions.RefundRedemption(
        redemption_pb2.RefundRedemptionRequest(
            program_id=world.program_id,
            redemption_id=action.redemption,
            refund_id=world.numbered("refund"),
            **_extent(world, action),
        ),
        timeout=CALL_SECONDS,
    )


async def _buy(world: World, action: Buy) -> None:
    await world.client.redemptions.PurchaseItem(
        redemption_pb2.PurchaseItemRequest(
            program_id=world.program_id,
            purchase_id=world.numbered("purchase"),
            participant_id=action.by,
            sku=action.sku,
            quantity=action.quantity,
        ),
        timeout=CALL_SECONDS,
    )


async def _exchange(world: World, action: Exchange) -> None:
    await world.client.redemptions.ExchangeAsset(
        redemption_pb2.ExchangeAssetRequest(
            program_id=world.program_id,
            exchange_id=world.numbered("exchange"),
            participant_id=action.by,
            asset=action.asset,
            amount_minor=world.minor(action.asset, action.amount),
            into=action.into,
        ),
        timeout=CALL_SECONDS,
    )


async def _gift(world: World, action: Gift) -> None:
    await world.client.redemptions.GiveAsset(
        redemption_pb2.GiveAssetRequest(
            program_id=world.program_id,
            gift_id=world.numbered("gift"),
            participant_id=action.by,
            recipient_id=action.to,
            asset=action.asset,
            amount_minor=world.minor(action.asset, action.amount),
        ),
        timeout=CALL_SECONDS,
    )


ACTS: Acts = {
    Redeem: _redeem,
    Capture: _capture,
    Void: _void,
    GiveBack: _give_back,
    Buy: _buy,
    Exchange: _exchange,
    Gift: _gift,
}
