"""Steps of the shop: orders and other rewarded events, refunds, a changed program."""

from decimal import Decimal

from upline.attribution.v1 import conversion_pb2

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS
from cli.programs import apply_bundle
from cli.scenario.acts.table import Acts
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.events import Apply, Order, RefundOrder


async def _order(run: ScenarioRun, action: Order) -> None:
    draft = conversion_pb2.ConversionDraft(
        conversion_id=action.id,
        event_type=action.type,
        buyer_id=action.buyer,
        code=action.code,
        click_token=run.click_tokens[action.click] if action.click else "",
        visitor_id=action.visitor,
        attributes=action.attributes,
        occurred_at=to_timestamp(run.scenario_file.moment(action.occurred) if action.occurred is not None else run.now),
    )
    for line in action.lines:
        draft.lines.add(
            line_id=line.id,
            sku=line.sku,
            category=line.category,
            amount_minor=run.to_minor(run.currency, line.amount),
            attributes=line.attributes,
        )
    amount = action.amount
    if amount is None and action.lines:
        amount = sum((line.amount for line in action.lines), Decimal(0))
    if amount is not None:
        draft.amount.CopyFrom(run.money(amount))
    if action.margin is not None:
        draft.margin_minor = run.to_minor(run.currency, action.margin)
    if action.new_customer is not None:
        draft.new_customer = action.new_customer
    await run.client.conversions.RecordConversion(
        conversion_pb2.RecordConversionRequest(program_id=run.program_id, conversion=draft), timeout=CALL_SECONDS
    )


async def _refund(run: ScenarioRun, action: RefundOrder) -> None:
    draft = conversion_pb2.ReversalDraft(
        reversal_id=action.id or run.new_name("refund"),
        conversion_id=action.of,
        reason=action.reason,
        occurred_at=to_timestamp(run.now),
    )
    for line_id, amount in action.lines.items():
        draft.lines.lines.add(line_id=line_id, amount_minor=run.to_minor(run.currency, amount))
    if action.amount is not None:
        draft.amount.CopyFrom(run.money(action.amount))
    elif not action.lines:
        draft.whole.SetInParent()
    await run.client.conversions.ReverseConversion(
        conversion_pb2.ReverseConversionRequest(program_id=run.program_id, reversal=draft), timeout=CALL_SECONDS
    )


async def _apply(run: ScenarioRun, action: Apply) -> None:
    bundle = run.scenario_file.applied.get(action.file, run.scenario_file.program)
    await apply_bundle(run.client, bundle.under(run.program_id))


ACTS: Acts = {
    Order: _order,
    RefundOrder: _refund,
    Apply: _apply,
}
