"""Rows of a file as requests, and mistakes in a request as lines of the file."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message
from upline.attribution.v1.conversion_pb2 import ConversionDraft
from upline.attribution.v1.participant_pb2 import ParticipantDraft
from upline.type.v1.money_pb2 import Money

from chassis.times import to_timestamp
from cli.bundle.rules import broken_rules
from cli.errors import CommandFailed, violations
from cli.replay.data import EnrolmentRow, FileLine, PurchaseRow

SHOWN = 20
"""The number of mistakes that are shown; whoever has more mends these first."""

_COLUMNS = {
    "buyer_id": "buyer",
    "amount.amount_minor": "amount_minor",
    "amount.currency_code": "currency",
    "participant_id": "participant",
    "sponsor_id": "sponsor",
}
"""Columns by the field that they become, where the two have other names."""
_FIELD = re.compile(r"(?:conversions|participants)\[([0-9]+)\]\.?(.*)")

Row = TypeVar("Row", PurchaseRow, EnrolmentRow)


class RowMistake(NamedTuple):
    """A mistake in a row, with its line and column."""

    line: FileLine
    column: str
    text: str


def purchase_draft(purchase: PurchaseRow) -> ConversionDraft:
    """A purchase as it is recorded."""
    return ConversionDraft(
        conversion_id=purchase.conversion_id,
        event_type="order",
        amount=Money(currency_code=purchase.currency, amount_minor=purchase.amount_minor),
        buyer_id=purchase.buyer,
        occurred_at=to_timestamp(purchase.occurred_at),
    )


def enrolment_draft(enrolment: EnrolmentRow) -> ParticipantDraft:
    """A participant as they are enrolled."""
    return ParticipantDraft(
        participant_id=enrolment.participant,
        sponsor_id=enrolment.sponsor,
        bind_time=to_timestamp(enrolment.bind_time) if enrolment.bind_time else None,
    )


def refuse_mistakes(currency_code: str, enrolments: Sequence[EnrolmentRow], purchases: Sequence[PurchaseRow]) -> None:
    """Raises CommandFailed with every line that the services would refuse, before anything is sent to them."""
    mistakes = [
        *_broken_rows(enrolments, enrolment_draft),
        *_broken_rows(purchases, purchase_draft),
        *_negative_amounts(purchases),
        *_foreign_currencies(currency_code, purchases),
        *_future_times(purchases),
        *_contradictions(purchases),
    ]
    if mistakes:
        raise CommandFailed(_mistake_lines(mistakes) + "\nnothing was changed")


def refusal_by_line(error: grpc.RpcError, rows: Sequence[Row]) -> CommandFailed | None:
    """A service's refusal of rows that were sent to it, told by their lines; None where it speaks of none of them."""
    mistakes = []
    for path, text in violations(error):
        if (found := _FIELD.fullmatch(path)) and int(found[1]) < len(rows) and rows[int(found[1])].line.file:
            mistakes.append(RowMistake(rows[int(found[1])].line, _column(found[2]), text))
    return CommandFailed(_mistake_lines(mistakes)) if mistakes else None


def _broken_rows(rows: Sequence[Row], draft: Callable[[Row], Message]) -> Iterator[RowMistake]:
    for row in rows:
        for path, text in broken_rules(draft(row)):
            yield RowMistake(row.line, _column(path), text)


def _negative_amounts(purchases: Sequence[PurchaseRow]) -> Iterator[RowMistake]:
    for each in purchases:
        if each.amount_minor < 0:
            yield RowMistake(
                each.line,
                "amount_minor",
                "must not be below zero; a refund is a reversal of the order that it is of",
            )


def _foreign_currencies(currency_code: str, purchases: Sequence[PurchaseRow]) -> Iterator[RowMistake]:
    for each in purchases:
        if each.currency != currency_code:
            yield RowMistake(each.line, "currency", f"the program counts in {currency_code}, found {each.currency!r}")


def _future_times(purchases: Sequence[PurchaseRow]) -> Iterator[RowMistake]:
    from services.attribution.domain.conversion import MAX_AHEAD

    latest = datetime.now(UTC) + MAX_AHEAD
    for each in purchases:
        if each.occurred_at > latest:
            yield RowMistake(each.line, "occurred_at", f"{each.occurred_at.isoformat()} lies in the future")


def _contradictions(purchases: Sequence[PurchaseRow]) -> Iterator[RowMistake]:
    seen: dict[str, PurchaseRow] = {}
    for each in purchases:
        first = seen.setdefault(each.conversion_id, each)
        if first != each:
            yield RowMistake(
                each.line,
                "conversion_id",
                f"{each.conversion_id} stands on line {first.line.number} with another content",
            )


def _column(path: str) -> str:
    return _COLUMNS.get(path, path)


def _mistake_lines(mistakes: Sequence[RowMistake]) -> str:
    lines = [
        f"{each.line}: {each.column}: {each.text}"
        for each in sorted(mistakes, key=lambda each: (each.line.file, each.line.number))
    ]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)
