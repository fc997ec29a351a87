"""The ledger's vocabulary: value moves from one account to another, by one transfer, never by a change of a balance."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple


class Place(IntEnum):
    """Accounts. Those of a participant exist once for each participant and asset, the others once a program and asset.

    The numbers are stored: never reuse one.
    """

    ISSUANCE = 1
    """The program's: where rewards come from. Its balance is minus everything owed."""
    HELD = 2
    """A participant's: owed, but not yet his to use."""
    AVAILABLE = 3
    """A participant's: his to use."""


class TransferKind(IntEnum):
    """Why value moved. The numbers are stored: never reuse one."""

    ACCRUAL = 1
    RELEASE = 2
    REVERSAL = 3


class Transfer(NamedTuple):
    """One movement of value: `amount_minor` > 0 leaves `debit` and reaches `credit`."""

    transfer_id: int
    program_id: str
    kind: TransferKind
    participant_id: str
    debit: Place
    credit: Place
    asset: str
    amount_minor: int
    reward_id: int
    cause_id: str


class Account(NamedTuple):
    """The key of a balance. `participant_id` is empty for the program's own accounts."""

    program_id: str
    participant_id: str
    place: Place
    asset: str


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward as posted; its net amount is `amount_minor` plus its revisions."""

    reward_id: int
    program_id: str
    conversion_id: str
    rule_id: str
    beneficiary_id: str
    level: int
    asset: str
    amount_minor: int
    hold_until: datetime | None
    plan_version: int
    cause_time: datetime


def deltas(transfers: Iterable[Transfer]) -> dict[Account, int]:
    """What transfers change, by account. Always sums to zero for each program and asset."""
    changes: dict[Account, int] = {}
    for transfer in transfers:
        amount = transfer.amount_minor
        debit = account(transfer, transfer.debit)
        credit = account(transfer, transfer.credit)
        changes[debit] = changes.get(debit, 0) - amount
        changes[credit] = changes.get(credit, 0) + amount
    return changes


def account(transfer: Transfer, place: Place) -> Account:
    """The account at one end of a transfer."""
    owner = "" if place is Place.ISSUANCE else transfer.participant_id
    return Account(transfer.program_id, owner, place, transfer.asset)
