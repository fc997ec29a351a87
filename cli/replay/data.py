"""Purchases and sponsors as CSV files, and a rule that makes up sponsors where there is no file."""

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TextIO

from cli.errors import CommandFailed

PURCHASE_COLUMNS = ("conversion_id", "buyer", "occurred_at", "amount_minor", "currency")
SPONSOR_COLUMNS = ("participant", "sponsor")
BIND_COLUMN = "bind_time"
"""A column of a sponsors file that may be missing: when the participant joined and was bound."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
"""A whole number, with no more digits than any amount in the contract has."""
UNSPONSORED_ONE_IN = 8
"""One in so many participants of the made-up tree comes without a sponsor."""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of a file; no file for a row that was made up."""

    file: str = ""
    number: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class PurchaseRow:
    """One row of a purchases file."""

    conversion_id: str
    buyer: str
    occurred_at: datetime
    """The time of the purchase, with its zone."""
    amount_minor: int
    currency: str
    line: FileLine = field(default_factory=FileLine, compare=False)


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    """One row of a sponsors file; no sponsor is empty."""

    participant: str
    sponsor: str
    bind_time: datetime | None = None
    """The time at which the participant joined and was bound; None where the file does not say."""
    line: FileLine = field(default_factory=FileLine, compare=False)


def read_purchases(file: Path) -> list[PurchaseRow]:
    """Every row of a purchases file. Raises CommandFailed naming the line and column that is wrong."""
    purchases = []
    with _rows(file, PURCHASE_COLUMNS) as rows:
        for number, row in rows:
            line = FileLine(str(file), number)
            purchases.append(
                PurchaseRow(
                    row["conversion_id"], row["buyer"], _moment(line, "occurred_at", row["occurred_at"]),
                    _minor(line, row["amount_minor"]), row["currency"], line,
                )
            )  # fmt: skip
    if not purchases:
        raise CommandFailed(f"{file}: holds no purchases")
    return purchases


def _moment(line: FileLine, column: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        # Whose midnight it was decides windows, periods and terms; it is not ours to guess.
        raise CommandFailed(
            f"{line}: {column}: expected a time with its zone such as 2026-01-31T09:00:00Z or"
            f" 2026-01-31T09:00:00+03:00, found {text!r}"
        )
    return moment


def _minor(line: FileLine, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise CommandFailed(
            f"{line}: amount_minor: expected a whole number of the currency's smallest unit such as 1250 for 12.50,"
            f" found {text!r}"
        )
    return int(text)


def read_sponsors(file: Path) -> list[EnrolmentRow]:
    """Every row of a sponsors file, in its order.

    Raises CommandFailed where a sponsor stands after somebody whom they invited.
    """
    enrolments: list[EnrolmentRow] = []
    seen: set[str] = set()
    with _rows(file, SPONSOR_COLUMNS) as rows:
        for number, row in rows:
            line = FileLine(str(file), number)
            text = row.get(BIND_COLUMN)
            each = EnrolmentRow(
                row["participant"], row["sponsor"], _moment(line, BIND_COLUMN, text) if text else None, line
            )
            if each.sponsor and each.sponsor not in seen:
                raise CommandFailed(f"{file}:{number}: sponsor {each.sponsor} is not listed before {each.participant}")
            seen.add(each.participant)
            enrolments.append(each)
    return enrolments


def bind_by_first_purchase(enrolments: list[EnrolmentRow], purchases: list[PurchaseRow]) -> list[EnrolmentRow]:
    """The enrolments with a time for everybody who buys: without one, they joined with the first thing they bought."""
    first: dict[str, datetime] = {}
    for each in purchases:
        first[each.buyer] = min(each.occurred_at, first.get(each.buyer, each.occurred_at))
    return [replace(each, bind_time=each.bind_time or first.get(each.participant)) for each in enrolments]


def make_up_sponsors(purchases: list[PurchaseRow]) -> list[EnrolmentRow]:
    """A tree over the buyers, the same for the same purchases everywhere.

    Buyers join in the order of the file. One in eight comes alone; each other is invited by one of those who joined
    before, all equally likely (a random recursive tree: its depth grows with the logarithm of its size), chosen by a
    hash of the name.
    """
    joined: list[str] = []
    enrolments = []
    for buyer in dict.fromkeys(each.buyer for each in purchases):
        digest = hashlib.blake2b(buyer.encode(), digest_size=16).digest()
        alone = not joined or int.from_bytes(digest[:8]) % UNSPONSORED_ONE_IN == 0
        sponsor = "" if alone else joined[int.from_bytes(digest[8:]) % len(joined)]
        enrolments.append(EnrolmentRow(buyer, sponsor))
        joined.append(buyer)
    return enrolments


@contextmanager
def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[Iterator[tuple[int, dict[str, str]]]]:
    with _text(file) as stream:
        reader = csv.DictReader(stream)
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{file}: cannot be read: {error}") from error
        if missing:
            raise CommandFailed(
                f"{file}:1: the columns {', '.join(missing)} are missing; expected {', '.join(columns)}"
            )
        yield _numbered(file, reader, columns)


def _numbered(
    file: Path, reader: "csv.DictReader[str]", columns: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    for row in reader:
        if any(row[name] is None for name in columns):
            raise CommandFailed(f"{file}:{reader.line_num}: has too few columns")
        yield reader.line_num, row


def _text(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(file), encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")
