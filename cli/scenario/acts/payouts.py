"""Steps of operators and of the provider: rewards approved or rejected, payouts asked for, sent and reported."""

from typing import Any

from upline.rewards.v1 import approval_pb2, payout_pb2

from cli.client import CALL_SECONDS
from cli.scenario.acts.table import Acts
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
from cli.scenario.world import World


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


ACTS: Acts = {
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
}
