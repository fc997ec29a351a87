"""What is taken back of value that expired, or was used already."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from services.rewards.domain.ledger import AccountKind, Transfer
from services.rewards.domain.settle.settlement import Clawback, same_position

Wallet = tuple[str, str, str]
"""(program, participant, asset)."""


class Expiry(NamedTuple):
    """Something of a wallet that expired at one time."""

    came_until: datetime
    """All of it had become available by then."""
    amount_minor: int


class Expired:
    """What expired of a wallet and would have, had what was taken back so far never come.

    Only what expired since a reward itself could have expired is less without it: before that, the reward stood last in the line.
    """

    def __init__(
        self, expiries: Iterable[Expiry], came: Mapping[str, datetime], taken: Iterable[tuple[str, int]]
    ) -> None:
        """`expiries`: oldest first. `came`: when rewards became available, by id. `taken`: (reward, minor units) taken back before."""
        self._left = list(expiries)
        self._came = came
        for reward_id, amount_minor in taken:
            self.take(reward_id, amount_minor)

    def take(self, reward_id: str, amount_minor: int) -> int:
        """Takes back so much of a reward, as far as that much less would have expired without it; returns how much that is."""
        taken_minor = 0
        for number, (came_until, left_minor) in enumerate(self._left):
            if came_until >= self._came[reward_id]:
                part = min(left_minor, amount_minor - taken_minor)
                self._left[number] = Expiry(came_until, left_minor - part)
                taken_minor += part
        return taken_minor


def spent_from(clawbacks: Iterable[Clawback]) -> set[tuple[str, str]]:
    """(program, participant) of the wallets that something available is taken out of."""
    return {
        (each.program_id, each.participant_id)
        for clawback in clawbacks
        for each in clawback.transfers
        if each.debit is AccountKind.AVAILABLE
    }


def with_debts(
    clawbacks: Iterable[Clawback], available: Mapping[Wallet, int], expired: Mapping[Wallet, Expired]
) -> list[Clawback]:
    """The same, but what has expired is taken from EXPIRED, and what was used from DEBT: the participant owes it. In the order of
    `clawbacks`."""
    left = dict(available)
    return [replace(each, transfers=tuple(_split(each, left, expired))) for each in clawbacks]


def _split(clawback: Clawback, left: dict[Wallet, int], expired: Mapping[Wallet, Expired]) -> Iterable[Transfer]:
    for each in clawback.transfers:
        if each.debit is not AccountKind.AVAILABLE:
            yield each
            continue
        wallet = (each.program_id, each.participant_id, each.asset)
        gone = expired[wallet].take(each.reward_id, each.amount_minor) if wallet in expired else 0
        there = min(max(left.get(wallet, 0), 0), each.amount_minor - gone)
        left[wallet] = left.get(wallet, 0) - there
        if there:
            yield each._replace(amount_minor=there)
        for place, amount_minor in ((AccountKind.EXPIRED, gone), (AccountKind.DEBT, each.amount_minor - gone - there)):
            if amount_minor:
                transfer_id = same_position(clawback.reversal, place.name.lower(), each.transfer_id)
                yield each._replace(transfer_id=transfer_id, debit=place, amount_minor=amount_minor)
