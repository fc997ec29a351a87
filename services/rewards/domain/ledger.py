"""The ledger's vocabulary: value moves from one account to another, by one transfer, never by a change of a balance."""

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple

MAX_AMOUNT_MINOR = 10**15
"""The most that one reward, redemption, gift, exchange or payout moves: as much as the largest conversion. More is a
mistake, in a plan or in a report. So every single amount fits int64, and thousands of its kind together do; sums of
any number of them are not bound by int64."""


class AccountKind(IntEnum):
    """Accounts. Those of a participant exist once for each participant and asset, the others once a program and asset.

    The numbers are stored: never reuse one.
    """

    ISSUANCE = 1
    """The program's, from which rewards come. Its balance is minus everything owed."""
    HELD = 2
    """A participant's: owed, but not yet theirs to use."""
    AVAILABLE = 3
    """A participant's: theirs to use."""
    RESERVED = 4
    """A participant's: set aside for redemptions that are authorised and payouts that are on their way."""
    DEBT = 5
    """A participant's: minus their debt, because something was taken back that they had used already."""
    REDEEMED = 6
    """The program's: what was spent on orders and in the catalogue."""
    PAID_OUT = 7
    """The program's: what left the system and did not come back."""
    FEES = 8
    """The program's: what payouts cost their receivers."""
    EXPIRED = 9
    """The program's: what nobody used in time."""
    EXCHANGE = 10
    """The program's: what was given for another asset; below zero in the asset that was taken."""


class TransferKind(IntEnum):
    """The reasons for which value moves. The numbers are stored: never reuse one."""

    ACCRUAL = 1
    RELEASE = 2
    REVERSAL = 3
    DEBT_SETTLEMENT = 4
    REJECTION = 5
    AUTHORIZATION = 6
    CAPTURE = 7
    VOID = 8
    REDEMPTION_REFUND = 9
    PURCHASE = 10
    EXCHANGE = 11
    GIFT = 12
    PAYOUT_REQUEST = 13
    PAYOUT = 14
    PAYOUT_FEE = 15
    PAYOUT_RETURN = 16
    EXPIRY = 17
    PRIZE = 18
    PAYOUT_BOUNCE = 19


PARTICIPANT_ACCOUNT_KINDS = frozenset({AccountKind.HELD, AccountKind.AVAILABLE, AccountKind.RESERVED, AccountKind.DEBT})


class Transfer(NamedTuple):
    """One movement of value after the accrual: `amount_minor` > 0 leaves `debit` and reaches `credit`."""

    transfer_id: str
    program_id: str
    kind: TransferKind
    participant_id: str
    debit: AccountKind
    credit: AccountKind
    asset: str
    amount_minor: int
    reward_id: str
    cause_id: str


Account = tuple[str, str, AccountKind, str]
"""The key of a balance: program, participant (empty for the program's own accounts), kind of account, asset."""


class Reward(NamedTuple):
    """A reward as posted, and at once the transfer that accrues it: from issuance to `held` where a hold has to end
    first, else to `available`. Its net amount is `amount_minor` plus its revisions."""

    reward_id: str
    """32 hexadecimal digits."""
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


new_reward: Final = partial(tuple.__new__, Reward)
"""A reward of a tuple of all its fields, in two thirds of the time: a payout makes thousands."""


def deltas(rewards: Iterable[Reward], transfers: Iterable[Transfer]) -> dict[Account, int]:
    """The changes of accounts by accruals and transfers. They sum to zero for each program and asset."""
    changes: dict[Account, int] = {}
    # The rewards of people are added up by themselves: thousands are for accounts of one kind in one program.
    sums: dict[tuple[str, bool, str], dict[str, int]] = {}
    for each in rewards:
        of_people = sums.get(key := (each.program_id, each.hold_until is None, each.asset))
        if of_people is None:
            of_people = sums[key] = {}
        of_people[each.beneficiary_id] = of_people.get(each.beneficiary_id, 0) + each.amount_minor
    for (program_id, is_free, asset), of_people in sums.items():
        account_kind = AccountKind.AVAILABLE if is_free else AccountKind.HELD
        source = (program_id, "", AccountKind.ISSUANCE, asset)
        changes |= {(program_id, person, account_kind, asset): minor for person, minor in of_people.items()}
        changes[source] = changes.get(source, 0) - sum(of_people.values())
    for transfer in transfers:
        source, target = _account(transfer, transfer.debit), _account(transfer, transfer.credit)
        changes[source] = changes.get(source, 0) - transfer.amount_minor
        changes[target] = changes.get(target, 0) + transfer.amount_minor
    return changes


def _account(transfer: Transfer, kind: AccountKind) -> Account:
    holder_id = transfer.participant_id if kind in PARTICIPANT_ACCOUNT_KINDS else ""
    return transfer.program_id, holder_id, kind, transfer.asset
