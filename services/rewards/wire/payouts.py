"""Payouts: between the contract and what leaves the system, and batches as files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from upline.rewards.v1 import payout_pb2

from chassis.errors import invalid
from chassis.pages import fitting
from chassis.times import to_timestamp
from services.rewards.domain.explain.numbers import minor_text
from services.rewards.domain.wallet.payout import Payout, ProviderAnswer, ProviderStatus, RequestedPayout

BATCH_HEADER = ("payout_id", "attempt", "participant_id", "method", "destination", "asset", "amount")
MAX_BATCH_BYTES = 1024 * 1024
"""The length of a batch's payouts in the answer. The file, which tells them once more, takes at most twice that;
clients read 4 MB by default."""

_STATUSES: Mapping[payout_pb2.PayoutOutcome.ValueType, ProviderStatus] = {
    payout_pb2.PAYOUT_OUTCOME_PAID: ProviderStatus.PAID,
    payout_pb2.PAYOUT_OUTCOME_FAILED: ProviderStatus.FAILED,
    payout_pb2.PAYOUT_OUTCOME_BOUNCED: ProviderStatus.BOUNCED,
}
_OUTCOME_NAMES = [payout_pb2.PayoutOutcome.Name(each) for each in _STATUSES]


def read_requested_payout(request: payout_pb2.RequestPayoutRequest) -> RequestedPayout:
    """The payout that a caller asks for."""
    return RequestedPayout(
        program_id=request.program_id,
        payout_id=request.payout_id,
        participant_id=request.participant_id,
        asset=request.asset,
        amount_minor=request.amount_minor,
        method=request.method,
        destination=request.destination,
    )


def read_provider_answer(request: payout_pb2.ReportPayoutRequest) -> ProviderAnswer:
    """The provider's answer that a caller reports.

    INVALID_ARGUMENT where it states no outcome or contradicts itself: an outcome that was left out neither pays nor
    fails.
    """
    status = _STATUSES.get(request.outcome, ProviderStatus.PAID if request.paid else None)
    if status is None:
        raise invalid("outcome", f"say what the provider answered: {', '.join(_OUTCOME_NAMES)}")
    if request.paid and status is not ProviderStatus.PAID:
        name = payout_pb2.PayoutOutcome.Name(request.outcome)
        raise invalid("outcome", f"is {name}, and `paid` is true: leave `paid` out, or say PAYOUT_OUTCOME_PAID")
    return ProviderAnswer(status, request.provider_reference, request.reason)


def payout_message(payout: Payout) -> payout_pb2.Payout:
    """A payout for the caller."""
    return payout_pb2.Payout(
        payout_id=payout.payout_id,
        program_id=payout.program_id,
        participant_id=payout.participant_id,
        asset=payout.asset,
        amount_minor=payout.amount_minor,
        fee_minor=payout.fee_minor,
        method=payout.method,
        destination=payout.destination,
        state=payout_pb2.PayoutState.ValueType(payout.state),
        provider_reference=payout.provider_reference,
        reason=payout.reason,
        attempts=payout.attempts,
        batch_id=payout.batch_id,
        create_time=to_timestamp(payout.create_time),
        update_time=to_timestamp(payout.update_time),
    )


def fitting_batch(payouts: Sequence[Payout]) -> Sequence[Payout]:
    """The first payouts, as many as the answer of one batch can tell."""
    return payouts[: len(fitting((payout_message(each) for each in payouts), MAX_BATCH_BYTES))]


def batch_csv(payouts: Iterable[tuple[Payout, int]], digits: Mapping[str, int]) -> str:
    """A batch for a bank or provider: the amount that each participant is to receive, in whole units with decimals. The
    same batch gives the same text."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(BATCH_HEADER)
    for each, attempt in payouts:
        amount = minor_text(each.paid_minor, digits.get(each.asset, 0))
        writer.writerow(
            (each.payout_id, attempt, each.participant_id, each.method, each.destination, each.asset, amount)
        )
    return lines.getvalue()
