"""Payouts out: messages and files."""

import csv
import io
from collections.abc import Iterable, Mapping

from upline.rewards.v1 import payout_pb2

from chassis.times import to_timestamp
from services.rewards.domain.explain.numbers import minor_text
from services.rewards.domain.wallet.payout import Payout

BATCH_HEADER = ("payout_id", "attempt", "participant_id", "method", "destination", "asset", "amount")


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


def batch_csv(payouts: Iterable[tuple[Payout, int]], digits: Mapping[str, int]) -> str:
    """A batch for a bank or provider: what each participant is to receive, in whole units with decimals. The same batch, the same text."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(BATCH_HEADER)
    for each, attempt in payouts:
        amount = minor_text(each.paid_minor, digits.get(each.asset, 0))
        writer.writerow(
            (each.payout_id, attempt, each.participant_id, each.method, each.destination, each.asset, amount)
        )
    return lines.getvalue()
