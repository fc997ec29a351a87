"""Wallets: what participants can spend, and their debts. Amounts in the asset's minor units."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, Account, AccountKind, TransferKind


class PreconditionError(Exception):
    """A request that is well-formed, but not now."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class WalletTransfer(NamedTuple):
    """One movement of value of a wallet, not of a reward: `amount_minor` > 0 leaves `debit` and reaches `credit`."""

    program_id: str
    kind: TransferKind
    participant_id: str
    debit: AccountKind
    credit: AccountKind
    asset: str
    amount_minor: int
    cause_id: str
    recipient_id: str = ""
    """The participant whose account it reaches; empty for the same."""


@dataclass(frozen=True, slots=True)
class Pocket:
    """The amounts that a participant has, and owes, of one asset."""

    available_minor: int = 0
    debt_minor: int = 0
    """The debt, not negative."""

    @property
    def spendable_minor(self) -> int:
        """The amount that remains once debts are repaid: they always are before anything is spent."""
        return max(self.available_minor - self.debt_minor, 0)

    @property
    def repayment_minor(self) -> int:
        """The part of the debt that the available amount repays."""
        return min(max(self.available_minor, 0), self.debt_minor)


EMPTY_POCKET = Pocket()


def repay_debt(program_id: str, participant_id: str, asset: str, pocket: Pocket, cause_id: str) -> list[WalletTransfer]:
    """Repays as much of a debt as is available."""
    if pocket.repayment_minor == 0:
        return []
    amount = pocket.repayment_minor
    repayment = TransferKind.DEBT_SETTLEMENT
    return [
        WalletTransfer(
            program_id, repayment, participant_id, AccountKind.AVAILABLE, AccountKind.DEBT, asset, amount, cause_id
        )
    ]


def spend(move: WalletTransfer, pocket: Pocket) -> list[WalletTransfer]:
    """A move out of AVAILABLE, after the debt. Raises PreconditionError if less is left than it takes."""
    if pocket.spendable_minor < move.amount_minor:
        owed = f", for {pocket.debt_minor} are owed" if pocket.debt_minor else ""
        raise PreconditionError(
            "INSUFFICIENT_BALANCE",
            f"{move.amount_minor} minor units of {move.asset} are asked for;"
            f" {pocket.spendable_minor} can be used{owed}",
        )
    return [*repay_debt(move.program_id, move.participant_id, move.asset, pocket, move.cause_id), move]


def changes(moves: Iterable[WalletTransfer]) -> dict[Account, int]:
    """The changes of accounts by moves. They sum to zero for each program and asset."""
    deltas: dict[Account, int] = {}
    for each in moves:
        source = (each.program_id, _holder(each.debit, each.participant_id), each.debit, each.asset)
        recipient = _holder(each.credit, each.recipient_id or each.participant_id)
        target = (each.program_id, recipient, each.credit, each.asset)
        deltas[source] = deltas.get(source, 0) - each.amount_minor
        deltas[target] = deltas.get(target, 0) + each.amount_minor
    return deltas


def _holder(kind: AccountKind, participant_id: str) -> str:
    return participant_id if kind in PARTICIPANT_ACCOUNT_KINDS else ""
