"""Clawbacks of value that expired, or was used already."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from services.rewards.domain.ledger import AccountKind, Transfer
from services.rewards.domain.settle.clawback import Clawback
from services.rewards.domain.settle.ids import sibling_transfer_id

PocketKey = tuple[str, str, str]
"""(program, participant, asset): what tells a pocket of a wallet from all others."""


class ExpiredPart(NamedTuple):
    """A part of a wallet's value that expired at one time."""

    came_until: datetime
    """All of it had become available by then."""
    amount_minor: int


class ExpiredValue:
    """The value of a wallet that expired, and would have expired without the rewards that were taken back so far.

    A reward that is taken back makes less only of what expired since the reward itself could have expired: before that,
    it stood last in the line.
    """

    def __init__(
        self, parts: Iterable[ExpiredPart], came: Mapping[str, datetime], withdrawn: Iterable[tuple[str, int]]
    ) -> None:
        """`parts`: oldest first. `came`: when rewards became available, by id. `withdrawn`: (reward id, minor units)
        that were taken back before."""
        self._parts = list(parts)
        self._came = came
        for reward_id, amount_minor in withdrawn:
            self.withdraw(reward_id, amount_minor)

    def withdraw(self, reward_id: str, amount_minor: int) -> int:
        """Takes back so much of a reward, as far as less would have expired without it; returns how much less."""
        withdrawn_minor = 0
        for number, (came_until, left_minor) in enumerate(self._parts):
            if came_until >= self._came[reward_id]:
                minor = min(left_minor, amount_minor - withdrawn_minor)
                self._parts[number] = ExpiredPart(came_until, left_minor - minor)
                withdrawn_minor += minor
        return withdrawn_minor


def debited_wallets(clawbacks: Iterable[Clawback]) -> set[tuple[str, str]]:
    """(program, participant) of the wallets that something available is taken out of."""
    return {
        (each.program_id, each.participant_id)
        for clawback in clawbacks
        for each in clawback.transfers
        if each.debit is AccountKind.AVAILABLE
    }


def with_debts(
    clawbacks: Iterable[Clawback], available: Mapping[PocketKey, int], expired: Mapping[PocketKey, ExpiredValue]
) -> list[Clawback]:
    """The clawbacks in their order, where value that expired comes from EXPIRED, and value that was used from DEBT: the
    participant owes it."""
    left = dict(available)
    return [replace(each, transfers=tuple(_split(each, left, expired))) for each in clawbacks]


def _split(
    clawback: Clawback, left: dict[PocketKey, int], expired: Mapping[PocketKey, ExpiredValue]
) -> Iterable[Transfer]:
    for each in clawback.transfers:
        if each.debit is not AccountKind.AVAILABLE:
            yield each
            continue
        key = (each.program_id, each.participant_id, each.asset)
        expired_minor = expired[key].withdraw(each.reward_id, each.amount_minor) if key in expired else 0
        available_minor = min(max(left.get(key, 0), 0), each.amount_minor - expired_minor)
        debt_minor = each.amount_minor - expired_minor - available_minor
        left[key] = left.get(key, 0) - available_minor
        if available_minor:
            yield each._replace(amount_minor=available_minor)
        for account_kind, amount_minor in ((AccountKind.EXPIRED, expired_minor), (AccountKind.DEBT, debt_minor)):
            if amount_minor:
                transfer_id = sibling_transfer_id(clawback.reversal, account_kind.name.lower(), each.transfer_id)
                yield each._replace(transfer_id=transfer_id, debit=account_kind, amount_minor=amount_minor)
