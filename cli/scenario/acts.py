"""What each kind of step asks of the services."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from upline.attribution.v1 import click_pb2, conversion_pb2, link_pb2, participant_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import approval_pb2, payout_pb2, redemption_pb2

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS
from cli.programs import apply_bundle
from cli.scenario.shapes.events import Apply, Order, Refund
from cli.scenario.shapes.payouts import (
    Approve,
    ApprovePayout,
    AskPayout,
    BatchPayouts,
    BouncePayout,
    CancelPayout,
    Reject,
    RejectPayout,
    ReportPayout,
    RetryPayout,
)
from cli.scenario.shapes.people import Bind, Click, Enrol, MakeCode, MakeLink, Newcomer, SetAttributes, Share
from cli.scenario.shapes.wallets import Buy, Capture, Exchange, Gift, GiveBack, Redeem, Void
from cli.scenario.world import World


async def enrol(world: World, person: str, newcomer: Newcomer) -> None:
    """Enrols somebody, in his language."""
    if newcomer.language:
        await world.client.preferences.UpdatePreferences(
            notify_pb2.UpdatePreferencesRequest(
                request_id=world.request_id(),
                program_id=world.program_id,
                participant_id=person,
                preferences=notify_pb2.Preferences(locale=newcomer.language),
            ),
            timeout=CALL_SECONDS,
        )
    draft = participant_pb2.ParticipantDraft(
        participant_id=person,
        attributes=newcomer.attributes,
        sponsor_id=newcomer.sponsor,
        code=newcomer.code,
        click_token=await _click(world, newcomer.link, "") if newcomer.link else "",
        record_sign_up=newcomer.sign_up,
    )
    await world.client.participants.EnrollParticipant(
        participant_pb2.EnrollParticipantRequest(
            request_id=world.request_id(), program_id=world.program_id, participant=draft
        ),
        timeout=CALL_SECONDS,
    )


async def act(world: World, action: Any) -> None:
    """Does what a step says. Raises the service's error where it refuses."""
    await _ACTS[type(action)](world, action)


async def _enrol(world: World, action: Enrol) -> None:
    await enrol(world, action.person, action)


async def _bind(world: World, action: Bind) -> None:
    await world.client.participants.BindSponsor(
        participant_pb2.BindSponsorRequest(
            request_id=world.request_id(),
            program_id=world.program_id,
            participant_id=action.person,
            sponsor_id=action.sponsor,
        ),
        timeout=CALL_SECONDS,
    )


async def _set_attributes(world: World, action: SetAttributes) -> None:
    await world.client.participants.UpdateParticipant(
        participant_pb2.UpdateParticipantRequest(
            request_id=world.request_id(),
            program_id=world.program_id,
            participant_id=action.person,
            attributes=action.attributes,
        ),
        timeout=CALL_SECONDS,
    )


async def _make_link(world: World, action: MakeLink) -> None:
    answer = await world.client.links.CreateLink(
        link_pb2.CreateLinkRequest(
            request_id=world.request_id(),
            program_id=world.program_id,
            participant_id=action.owner,
            destination_url=action.to,
            channel=action.channel,
            campaign=action.campaign,
            share_percent=action.share_percent,
        ),
        timeout=CALL_SECONDS,
    )
    world.links[action.id] = answer.link.link_id


async def _make_code(world: World, action: MakeCode) -> None:
    await world.client.links.CreateCode(
        link_pb2.CreateCodeRequest(
            request_id=world.request_id(),
            program_id=world.program_id,
            participant_id=action.owner,
            code=action.code,
            channel=action.channel,
            share_percent=action.share_percent,
        ),
        timeout=CALL_SECONDS,
    )


async def _share(world: World, action: Share) -> None:
    await world.client.links.RecordShare(
        link_pb2.RecordShareRequest(
            request_id=world.request_id(),
            program_id=world.program_id,
            participant_id=action.by,
            link_id=world.links[action.link] if action.link else "",
            code=action.code,
            channel=action.channel,
        ),
        timeout=CALL_SECONDS,
    )


async def _follow(world: World, action: Click) -> None:
    world.tokens[action.id] = await _click(world, action.link, action.visitor)


async def _click(world: World, link: str, visitor: str) -> str:
    """Follows a link now; returns the click's token."""
    click = click_pb2.Click(
        program_id=world.program_id,
        link_id=world.links[link],
        visitor_id=visitor,
        occurred_at=to_timestamp(world.now),
    )
    answer = await world.client.clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=CALL_SECONDS)
    return str(answer.click_token)


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


async def _approve(world: World, action: Approve) -> None:
    await world.client.approvals.ApproveRewards(
        approval_pb2.ApproveRewardsRequest(program_id=world.program_id, conversion_id=action.event),
        timeout=CALL_SECONDS,
    )


async def _reject(world: World, action: Reject) -> None:
    await world.client.approvals.RejectRewards(
        approval_pb2.RejectRewardsRequest(
            program_id=world.program_id, conversion_id=action.event, reason=action.reason
        ),
        timeout=CALL_SECONDS,
    )


async def _ask_payout(world: World, action: AskPayout) -> None:
    await world.client.payouts.RequestPayout(
        payout_pb2.RequestPayoutRequest(
            program_id=world.program_id,
            payout_id=action.id,
            participant_id=action.by,
            asset=action.asset,
            amount_minor=world.minor(action.asset, action.amount),
            method=action.method,
            destination=action.destination,
        ),
        timeout=CALL_SECONDS,
    )


async def _approve_payout(world: World, action: ApprovePayout) -> None:
    await world.client.payouts.ApprovePayout(
        payout_pb2.ApprovePayoutRequest(program_id=world.program_id, payout_id=action.payout), timeout=CALL_SECONDS
    )


async def _reject_payout(world: World, action: RejectPayout) -> None:
    await world.client.payouts.RejectPayout(
        payout_pb2.RejectPayoutRequest(program_id=world.program_id, payout_id=action.payout, reason=action.reason),
        timeout=CALL_SECONDS,
    )


async def _batch_payouts(world: World, action: BatchPayouts) -> None:
    await world.client.payouts.CreatePayoutBatch(
        payout_pb2.CreatePayoutBatchRequest(program_id=world.program_id, batch_id=action.id, method=action.method),
        timeout=CALL_SECONDS,
    )


async def _report_payout(world: World, action: ReportPayout) -> None:
    told = {"outcome": payout_pb2.PAYOUT_OUTCOME_PAID, "provider_reference": action.reference}
    if action.failed is not None:
        told |= {"outcome": payout_pb2.PAYOUT_OUTCOME_FAILED, "reason": action.failed}
    await _answer(world, action.payout, **told)


async def _bounce_payout(world: World, action: BouncePayout) -> None:
    await _answer(world, action.payout, outcome=payout_pb2.PAYOUT_OUTCOME_BOUNCED, reason=action.reason)


async def _answer(world: World, payout: str, **told: Any) -> None:
    """The provider says something of the last handing over."""
    named = payout_pb2.GetPayoutRequest(program_id=world.program_id, payout_id=payout)
    handed_over = (await world.client.payouts.GetPayout(named, timeout=CALL_SECONDS)).payout.attempts
    await world.client.payouts.ReportPayout(
        payout_pb2.ReportPayoutRequest(
            program_id=world.program_id, payout_id=payout, attempt=max(handed_over, 1), **told
        ),
        timeout=CALL_SECONDS,
    )


async def _retry_payout(world: World, action: RetryPayout) -> None:
    await world.client.payouts.RetryPayout(
        payout_pb2.RetryPayoutRequest(program_id=world.program_id, payout_id=action.payout), timeout=CALL_SECONDS
    )


async def _cancel_payout(world: World, action: CancelPayout) -> None:
    await world.client.payouts.CancelPayout(
        payout_pb2.CancelPayoutRequest(program_id=world.program_id, payout_id=action.payout), timeout=CALL_SECONDS
    )


async def _apply(world: World, action: Apply) -> None:
    bundle = world.script.applied.get(action.file, world.script.program)
    await apply_bundle(world.client, bundle.under(world.program_id))


_ACTS: dict[type, Callable[[World, Any], Awaitable[None]]] = {
    Enrol: _enrol,
    Bind: _bind,
    SetAttributes: _set_attributes,
    MakeLink: _make_link,
    MakeCode: _make_code,
    Share: _share,
    Click: _follow,
    Order: _order,
    Refund: _refund,
    Redeem: _redeem,
    Capture: _capture,
    Void: _void,
    GiveBack: _give_back,
    Buy: _buy,
    Exchange: _exchange,
    Gift: _gift,
    Approve: _approve,
    Reject: _reject,
    AskPayout: _ask_payout,
    ApprovePayout: _approve_payout,
    RejectPayout: _reject_payout,
    BatchPayouts: _batch_payouts,
    ReportPayout: _report_payout,
    BouncePayout: _bounce_payout,
    RetryPayout: _retry_payout,
    CancelPayout: _cancel_payout,
    Apply: _apply,
}
