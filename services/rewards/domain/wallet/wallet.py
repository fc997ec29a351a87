"""What a participant can do with what he has. Amounts in the asset's minor units."""

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
    """One movement of value that is about a wallet and no single reward: `amount_minor` > 0 leaves `debit` and reaches `credit`."""

    program_id: str
    kind: TransferKind
    participant_id: str
    debit: AccountKind
    credit: AccountKind
    asset: str
    amount_minor: int
    cause_id: str
    recipient_id: str = ""
    """Whose account it reaches; empty for the same participant's."""


@dataclass(frozen=True, slots=True)
class Pocket:
    """What a participant has of one asset."""

    available_minor: int = 0
    debt_minor: int = 0
    """What he owes, not negative."""

    @property
    def spendable_minor(self) -> int:
        """What is left once debts are settled: they always are before anything is spent."""
        return max(self.available_minor - self.debt_minor, 0)

    @property
    def repayment_minor(self) -> int:
        """How much of the debt what is available settles."""
        return min(max(self.available_minor, 0), self.debt_minor)


EMPTY_POCKET = Pocket()


def repay_debt(program_id: str, participant_id: str, asset: str, pocket: Pocket, cause_id: str) -> list[WalletTransfer]:
    """Settles as much of a debt as is available."""
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
    """A move out of AVAILABLE, after the debt. Raises RefusedError if less is left than it takes."""
    if pocket.spendable_minor < move.amount_minor:
        owed = f", for {pocket.debt_minor} are owed" if pocket.debt_minor else ""
        raise PreconditionError(
            "INSUFFICIENT_BALANCE",
            f"{move.amount_minor} minor units of {move.asset} are asked for; {pocket.spendable_minor} can be used{owed}",
        )
    return [*repay_debt(move.program_id, move.participant_id, move.asset, pocket, move.cause_id), move]


def changes(moves: Iterable[WalletTransfer]) -> dict[Account, int]:
    """What moves change, by account. Always sums to zero for each program and asset."""
    found: dict[Account, int] = {}
    for each in moves:
        source = (each.program_id, _holder(each.debit, each.participant_id), each.debit, each.asset)
        recipient = _holder(each.credit, each.recipient_id or each.participant_id)
        target = (each.program_id, recipient, each.credit, each.asset)
        found[source] = found.get(source, 0) - each.amount_minor
        found[target] = found.get(target, 0) + each.amount_minor
    return found


def _holder(place: AccountKind, participant_id: str) -> str:
    return participant_id if place in PARTICIPANT_ACCOUNT_KINDS else ""
