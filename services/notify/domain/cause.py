"""Causes, as the stream tells them, and the notices that they are for people."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

MAX_AMOUNT_MINOR = 2**63 - 1


class UnusableEventError(ValueError):
    """An event that breaks its contract; delivering it again does not mend it."""


class Change(IntEnum):
    """The ways in which something happens to rewards; sent under these numbers."""

    ACCRUED = 1
    RELEASED = 2
    REVERSED = 3
    REJECTED = 4
    EXPIRING = 5
    PAYOUT_PAID = 6
    PAYOUT_FAILED = 7
    PAYOUT_RETURNED = 8
    PRIZE_WON = 9
    PAYOUT_BOUNCED = 10


class Kind(IntEnum):
    """The kinds of inbox entries; stored and sent under these numbers."""

    EARNED = 1
    HELD = 2
    RELEASED = 3
    REVERSED = 4
    REJECTED = 5
    EXPIRING = 6
    PAYOUT_PAID = 7
    PAYOUT_FAILED = 8
    PAYOUT_RETURNED = 9
    PRIZE_WON = 10
    PAYOUT_BOUNCED = 11


KINDS_WITHOUT_CONVERSION = frozenset(
    {
        Kind.EXPIRING,
        Kind.PAYOUT_PAID,
        Kind.PAYOUT_FAILED,
        Kind.PAYOUT_RETURNED,
        Kind.PAYOUT_BOUNCED,
        Kind.PRIZE_WON,
    }
)
"""The kinds of entries that tell of a wallet or a contest, and of no conversion."""

_DATED = frozenset({Change.ACCRUED, Change.EXPIRING})
_KINDS = {
    Change.RELEASED: Kind.RELEASED,
    Change.REVERSED: Kind.REVERSED,
    Change.REJECTED: Kind.REJECTED,
    Change.EXPIRING: Kind.EXPIRING,
    Change.PAYOUT_PAID: Kind.PAYOUT_PAID,
    Change.PAYOUT_FAILED: Kind.PAYOUT_FAILED,
    Change.PAYOUT_RETURNED: Kind.PAYOUT_RETURNED,
    Change.PRIZE_WON: Kind.PRIZE_WON,
    Change.PAYOUT_BOUNCED: Kind.PAYOUT_BOUNCED,
}


@dataclass(frozen=True, slots=True)
class Asset:
    """The asset of an amount."""

    code: str
    is_money: bool
    minor_digits: int
    """The digits after the point, of anything but money, whose currency decides."""


class Earning(NamedTuple):
    """One amount of one beneficiary. It is a tuple, like amounts and notices: a payout makes tens of thousands a
    second."""

    beneficiary_id: str
    level: int
    asset: str
    amount_minor: int
    hold_until: datetime | None
    """The end of the hold; for something that expires, the time when it does."""
    waits: bool = False
    """Whether it is held until something happens, nobody knows when."""
    rank: int = 0
    """The place that won a prize; 0 for anything else."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A fact about the rewards of one conversion, a wallet or a contest. The same `event_id` always has the same
    content."""

    event_id: str
    program_id: str
    conversion_id: str
    event_type: str
    buyer_id: str
    change: Change
    occurred_at: datetime
    assets: tuple[Asset, ...]
    earnings: tuple[Earning, ...]
    contest_id: str = ""
    """The contest of a prize; empty for anything else."""
    reason: str = ""
    """The reason that a person gave for rejecting a reward; empty for anything else."""
    trace_id: str = field(default="", compare=False)
    """The trace by which log lines about it are found; empty where no call is behind it."""


class Amount(NamedTuple):
    """The sum in one asset."""

    asset: str
    total_minor: int
    held_minor: int
    """The part of the total that is on hold."""


class Notice(NamedTuple):
    """The news of one cause for one participant."""

    participant_id: str
    kind: Kind
    level: int
    amounts: tuple[Amount, ...]
    """The sums by asset, in the order of the event."""
    hold_until: datetime | None
    """The latest end of a hold, if anything is held until a known time; for something that expires, the time when it
    does."""
    rank: int
    """The place in a contest; 0 for anything but prizes."""


def notices(cause: Cause) -> list[Notice]:
    """One notice for each beneficiary, however many rewards, levels and assets they have in the event.

    A participant who is met on several levels is told of the nearest. Raises UnusableEventError for a sum beyond int64.
    """
    by_person: dict[str, list[Earning]] = {}
    for earning in cause.earnings:
        by_person.setdefault(earning.beneficiary_id, []).append(earning)
    return [_notice(cause.change, person, earnings) for person, earnings in by_person.items()]


def _notice(change: Change, person: str, earnings: list[Earning]) -> Notice:
    sums: dict[str, tuple[int, int]] = {}
    holds: list[datetime] = []
    held_count = 0
    for earning in earnings:
        asset, amount_minor, hold_until = earning.asset, earning.amount_minor, earning.hold_until
        total, held = sums.get(asset, (0, 0))
        if (hold_until is not None or earning.waits) and change in _DATED:
            held_count += 1
            held += amount_minor if change is Change.ACCRUED else 0
            if hold_until is not None:
                holds.append(hold_until)
        sums[asset] = (total + amount_minor, held)
    amounts = tuple([Amount(asset, total, held) for asset, (total, held) in sums.items()])
    for each in amounts:
        if each.total_minor > MAX_AMOUNT_MINOR:
            raise UnusableEventError(f"the amounts of {person!r} sum to more than {MAX_AMOUNT_MINOR}")
    level = earnings[0].level if len(earnings) == 1 else min(each.level for each in earnings)
    kind = _kind(change, all_held=held_count == len(earnings))
    return Notice(person, kind, level, amounts, max(holds) if holds else None, earnings[0].rank)


def _kind(change: Change, *, all_held: bool) -> Kind:
    """The kind of an entry. It is HELD only where nothing is available yet: an entry of mixed rewards is EARNED, and
    its text says how much is held."""
    if change is Change.ACCRUED:
        return Kind.HELD if all_held else Kind.EARNED
    return _KINDS[change]
