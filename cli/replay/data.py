"""Purchases and sponsors as CSV files, and a rule that makes up sponsors where there is no file."""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from cli.failures import CommandFailed

PURCHASE_COLUMNS = ("conversion_id", "buyer", "occurred_at", "amount_minor", "currency")
SPONSOR_COLUMNS = ("participant", "sponsor")
BIND_COLUMN = "bind_time"
"""Of a sponsors file, may be missing: when the participant joined and was bound."""
UNSPONSORED_ONE_IN = 8
"""Of the made-up tree: so many come by themselves."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One row of a purchases file."""

    conversion_id: str
    buyer: str
    occurred_at: datetime
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One row of a sponsors file; no sponsor is empty."""

    participant: str
    sponsor: str
    bind_time: datetime | None = None
    """When they joined and were bound; None where the file does not say."""


def read_purchases(file: Path) -> list[Purchase]:
    """Every row. Raises CommandFailed naming the line that is wrong."""
    purchases = []
    with _rows(file, PURCHASE_COLUMNS) as rows:
        for number, row in rows:
            try:
                moment = datetime.fromisoformat(row["occurred_at"])
                purchases.append(
                    Purchase(
                        row["conversion_id"], row["buyer"], moment.replace(tzinfo=moment.tzinfo or UTC),
                        int(row["amount_minor"]), row["currency"],
                    )
                )  # fmt: skip
            except ValueError as error:
                raise CommandFailed(f"{file}:{number}: {error}") from error
    if not purchases:
        raise CommandFailed(f"{file}: holds no purchases")
    return purchases


def read_sponsors(file: Path) -> list[Enrolment]:
    """Every row, in the file's order. Raises CommandFailed where a sponsor stands after somebody he invited."""
    enrolments: list[Enrolment] = []
    seen: set[str] = set()
    with _rows(file, SPONSOR_COLUMNS) as rows:
        for number, row in rows:
            each = Enrolment(row["participant"], row["sponsor"], _bind_time(file, number, row.get(BIND_COLUMN)))
            if each.sponsor and each.sponsor not in seen:
                raise CommandFailed(f"{file}:{number}: sponsor {each.sponsor} is not listed before {each.participant}")
            seen.add(each.participant)
            enrolments.append(each)
    return enrolments


def _bind_time(file: Path, number: int, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(f"{file}:{number}: {BIND_COLUMN}: {error}") from error
    if moment.tzinfo is None:
        raise CommandFailed(f"{file}:{number}: {BIND_COLUMN}: {text} has no time zone; write {text}Z if it is UTC")
    return moment


def bound_by_first_purchase(enrolments: list[Enrolment], purchases: list[Purchase]) -> list[Enrolment]:
    """The same people; who buys and of whom nobody says when they joined has joined with the first thing they bought."""
    first: dict[str, datetime] = {}
    for each in purchases:
        first[each.buyer] = min(each.occurred_at, first.get(each.buyer, each.occurred_at))
    return [replace(each, bind_time=each.bind_time or first.get(each.participant)) for each in enrolments]


def made_up_sponsors(purchases: list[Purchase]) -> list[Enrolment]:
    """A tree over the buyers, the same for the same purchases everywhere.

    Buyers join in the order of the file. One in eight comes by himself; each other is invited by one of those who joined before him,
    all equally likely (a random recursive tree: its depth grows with the logarithm of its size), chosen by a hash of his name.
    """
    joined: list[str] = []
    enrolments = []
    for buyer in dict.fromkeys(each.buyer for each in purchases):
        digest = hashlib.blake2b(buyer.encode(), digest_size=16).digest()
        alone = not joined or int.from_bytes(digest[:8]) % UNSPONSORED_ONE_IN == 0
        sponsor = "" if alone else joined[int.from_bytes(digest[8:]) % len(joined)]
        enrolments.append(Enrolment(buyer, sponsor))
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
