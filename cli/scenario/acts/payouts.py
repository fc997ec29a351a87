"""Steps of operators and of the provider: rewards approved or rejected, payouts asked for, sent and reported."""

from typing import Any

from upline.rewards.v1 import approval_pb2, payout_pb2

from cli.client import CALL_SECONDS
from cli.scenario.acts.table import Acts
from cli.scenario.run import ScenarioRun
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


async def _approve(run: ScenarioRun, action: Approve) -> None:
    await run.client.approvals.ApproveRewards(
        approval_pb2.ApproveRewardsRequest(program_id=run.program_id, conversion_id=action.event),
        timeout=CALL_SECONDS,
    )


async def _reject(run: ScenarioRun, action: Reject) -> None:
    await run.client.approvals.RejectRewards(
        approval_pb2.RejectRewardsRequest(program_id=run.program_id, conversion_id=action.event, reason=action.reason),
        timeout=CALL_SECONDS,
    )


async def _ask_payout(run: ScenarioRun, action: AskPayout) -> None:
    await run.client.payouts.RequestPayout(
        payout_pb2.RequestPayoutRequest(
            program_id=run.program_id,
            payout_id=action.id,
            participant_id=action.by,
            asset=action.asset,
            amount_minor=run.to_minor(action.asset, action.amount),
            method=action.method,
            destination=action.destination,
        ),
        timeout=CALL_SECONDS,
    )


async def _approve_payout(run: ScenarioRun, action: ApprovePayout) -> None:
    await run.client.payouts.ApprovePayout(
        payout_pb2.ApprovePayoutRequest(program_id=run.program_id, payout_id=action.payout), timeout=CALL_SECONDS
    )


async def _reject_payout(run: ScenarioRun, action: RejectPayout) -> None:
    await run.client.payouts.RejectPayout(
        payout_pb2.RejectPayoutRequest(program_id=run.program_id, payout_id=action.payout, reason=action.reason),
        timeout=CALL_SECONDS,
    )


async def _batch_payouts(run: ScenarioRun, action: BatchPayouts) -> None:
    await run.client.payouts.CreatePayoutBatch(
        payout_pb2.CreatePayoutBatchRequest(program_id=run.program_id, batch_id=action.id, method=action.method),
        timeout=CALL_SECONDS,
    )


async def _report_payout(run: ScenarioRun, action: ReportPayout) -> None:
    told = {"outcome": payout_pb2.PAYOUT_OUTCOME_PAID, "provider_reference": action.reference}
    if action.failed is not None:
        told |= {"outcome": payout_pb2.PAYOUT_OUTCOME_FAILED, "reason": action.failed}
    await _report_answer(run, action.payout, **told)


async def _bounce_payout(run: ScenarioRun, action: BouncePayout) -> None:
    await _report_answer(run, action.payout, outcome=payout_pb2.PAYOUT_OUTCOME_BOUNCED, reason=action.reason)


async def _report_answer(run: ScenarioRun, payout: str, **told: Any) -> None:
    """Reports what the provider said of the last handing over."""
    named = payout_pb2.GetPayoutRequest(program_id=run.program_id, payout_id=payout)
    handed_over = (await run.client.payouts.GetPayout(named, timeout=CALL_SECONDS)).payout.attempts
    await run.client.payouts.ReportPayout(
        payout_pb2.ReportPayoutRequest(
            program_id=run.program_id, payout_id=payout, attempt=max(handed_over, 1), **told
        ),
        timeout=CALL_SECONDS,
    )


async def _retry_payout(run: ScenarioRun, action: RetryPayout) -> None:
    await run.client.payouts.RetryPayout(
        payout_pb2.RetryPayoutRequest(program_id=run.program_id, payout_id=action.payout), timeout=CALL_SECONDS
    )


async def _cancel_payout(run: ScenarioRun, action: CancelPayout) -> None:
    await run.client.payouts.CancelPayout(
        payout_pb2.CancelPayoutRequest(program_id=run.program_id, payout_id=action.payout), timeout=CALL_SECONDS
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
