"""Steps of those who spend what they earned: redemptions, purchases, exchanges, gifts."""

from typing import Any

from upline.rewards.v1 import redemption_pb2

from cli.client import CALL_SECONDS
from cli.scenario.acts.table import Acts
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.wallets import Buy, Capture, Exchange, Gift, GiveBack, Redeem, Void


async def _redeem(run: ScenarioRun, action: Redeem) -> None:
    run.redemption_assets[action.id] = action.asset
    await run.client.redemptions.AuthorizeRedemption(
        redemption_pb2.AuthorizeRedemptionRequest(
            program_id=run.program_id,
            redemption_id=action.id,
            participant_id=action.by,
            asset=action.asset,
            amount_minor=run.to_minor(action.asset, action.amount),
            order_id=action.order,
            order_amount=run.money(action.of),
        ),
        timeout=CALL_SECONDS,
    )


async def _capture(run: ScenarioRun, action: Capture) -> None:
    await run.client.redemptions.CaptureRedemption(
        redemption_pb2.CaptureRedemptionRequest(
            program_id=run.program_id,
            redemption_id=action.redemption,
            **_extent(run, action),
        ),
        timeout=CALL_SECONDS,
    )


def _extent(run: ScenarioRun, action: Capture | GiveBack) -> dict[str, Any]:
    """The part of a redemption that a step means: all of it where it names no amount."""
    if action.amount is None:
        return {"whole": True}
    return {"amount_minor": run.to_minor(run.redemption_assets[action.redemption], action.amount)}


async def _void(run: ScenarioRun, action: Void) -> None:
    await run.client.redemptions.VoidRedemption(
        redemption_pb2.VoidRedemptionRequest(program_id=run.program_id, redemption_id=action.redemption),
        timeout=CALL_SECONDS,
    )


async def _give_back(run: ScenarioRun, action: GiveBack) -> None:
    await run.client.redemptions.RefundRedemption(
        redemption_pb2.RefundRedemptionRequest(
            program_id=run.program_id,
            redemption_id=action.redemption,
            refund_id=run.new_name("refund"),
            **_extent(run, action),
        ),
        timeout=CALL_SECONDS,
    )


async def _buy(run: ScenarioRun, action: Buy) -> None:
    await run.client.redemptions.PurchaseItem(
        redemption_pb2.PurchaseItemRequest(
            program_id=run.program_id,
            purchase_id=run.new_name("purchase"),
            participant_id=action.by,
            sku=action.sku,
            quantity=action.quantity,
        ),
        timeout=CALL_SECONDS,
    )


async def _exchange(run: ScenarioRun, action: Exchange) -> None:
    await run.client.redemptions.ExchangeAsset(
        redemption_pb2.ExchangeAssetRequest(
            program_id=run.program_id,
            exchange_id=run.new_name("exchange"),
            participant_id=action.by,
            asset=action.asset,
            amount_minor=run.to_minor(action.asset, action.amount),
            into=action.into,
        ),
        timeout=CALL_SECONDS,
    )


async def _gift(run: ScenarioRun, action: Gift) -> None:
    await run.client.redemptions.GiveAsset(
        redemption_pb2.GiveAssetRequest(
            program_id=run.program_id,
            gift_id=run.new_name("gift"),
            participant_id=action.by,
            recipient_id=action.to,
            asset=action.asset,
            amount_minor=run.to_minor(action.asset, action.amount),
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
