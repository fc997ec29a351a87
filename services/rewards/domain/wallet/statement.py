"""A participant's wallet as readers see it: balances and transfers. Amounts in the asset's minor units."""

from datetime import datetime
from typing import NamedTuple

from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind


class AssetBalance(NamedTuple):
    """The accounts that a participant has of one asset."""

    asset: str
    digits: int
    """The decimal places of the asset."""
    held_minor: int
    available_minor: int
    reserved_minor: int
    debt_minor: int
    """The amount that the participant owes, not negative."""


class TransferView(NamedTuple):
    """One movement of value in or out of a participant's wallet."""

    transfer_id: str
    """32 hexadecimal digits."""
    kind: int
    participant_id: str
    recipient_id: str
    """The participant whom it reaches; empty for the same."""
    debit: AccountKind
    credit: AccountKind
    asset: str
    amount_minor: int
    reward_id: str
    """The reward that it moves; empty if it is about no single reward."""
    cause_id: str
    create_time: datetime

    @property
    def debit_account(self) -> str:
        """The account that it leaves."""
        return _account_name(self.debit, self.participant_id)

    @property
    def credit_account(self) -> str:
        """The account that it reaches."""
        return _account_name(self.credit, self.recipient_id or self.participant_id)


def _account_name(kind: AccountKind, participant_id: str) -> str:
    """`issuance` and the like for the program's accounts; `held:` and the like and the participant for the others."""
    name = kind.name.lower()
    return f"{name}:{participant_id}" if kind in PARTICIPANT_ACCOUNT_KINDS else name
