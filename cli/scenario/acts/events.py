"""Steps of the shop: orders and other rewarded events, refunds, a changed program."""

from decimal import Decimal

from upline.attribution.v1 import conversion_pb2

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS
from cli.programs import apply_bundle
from cli.scenario.acts.table import Acts
from cli.scenario.shapes.events import Apply, Order, Refund
from cli.scenario.world import World


async def _order(world: World, action: Order) -> None:
    draft = conversion_pb2.ConversionDraft(
        conversion_id=action.id,
        event_type=action.type,
        buyer_id=action.buyer,
        code=action.code,
        click_token=world.tokens[action.click] if action.click else "",
        visitor_id=action.visitor,
        attributes=action.attributes,
        occurred_at=to_timestamp(world.script.moment(action.occurred) if action.occurred is not None else world.now),
    )
    for line in action.lines:
        draft.lines.add(
            line_id=line.id,
            sku=line.sku,
            category=line.category,
            amount_minor=world.minor(world.currency, line.amount),
            attributes=line.attributes,
        )
    amount = action.amount
    if amount is None and action.lines:
        amount = sum((line.amount for line in action.lines), Decimal(0))
    if amount is not None:
        draft.amount.CopyFrom(world.money(amount))
    if action.margin is not None:
        draft.margin_minor = world.minor(world.currency, action.margin)
    if action.new_customer is not None:
        draft.new_customer = action.new_customer
    await world.client.conversions.RecordConversion(
        conversion_pb2.RecordConversionRequest(program_id=world.program_id, conversion=draft), timeout=CALL_SECONDS
    )


async def _refund(world: World, action: Refund) -> None:
    draft = conversion_pb2.ReversalDraft(
        reversal_id=action.id or world.numbered("refund"),
        conversion_id=action.of,
        reason=action.reason,
        occurred_at=to_timestamp(world.now),
    )
    for line_id, amount in action.lines.items():
        draft.lines.lines.add(line_id=line_id, amount_minor=world.minor(world.currency, amount))
    if action.amount is not None:
        draft.amount.CopyFrom(world.money(action.amount))
    elif not action.lines:
        draft.whole.SetInParent()
    await world.client.conversions.ReverseConversion(
        conversion_pb2.ReverseConversionRequest(program_id=world.program_id, reversal=draft), timeout=CALL_SECONDS
    )


async def _apply(world: World, action: Apply) -> None:
    bundle = world.script.applied.get(action.file, world.script.program)
    await apply_bundle(world.client, bundle.under(world.program_id))


ACTS: Acts = {
    Order: _order,
    Refund: _refund,
    Apply: _apply,
}
