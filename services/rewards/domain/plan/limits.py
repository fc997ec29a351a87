"""Caps and budgets: how much is paid at most."""

from dataclasses import dataclass
from enum import Enum

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.periods import Period
from services.rewards.domain.tally import tallies


class CapScope(Enum):
    """What a cap counts together."""

    REWARD = "reward"
    BENEFICIARY = "beneficiary"
    REFEREE = "referee"
    PROGRAM = "program"


class Overflow(Enum):
    """What becomes of a reward that does not fit."""

    CLAMP = "clamp"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on what one rule pays."""

    scope: CapScope
    amount_minor: int
    period: Period
    overflow: Overflow
    name: str
    """Of its tally."""

    def subject(self, beneficiary_id: str, buyer_id: str) -> str:
        """Whose rewards are counted together, as tallies name it."""
        if self.scope is CapScope.BENEFICIARY:
            return beneficiary_id
        return tallies.pair(beneficiary_id, buyer_id) if self.scope is CapScope.REFEREE else ""


LARGEST = Cap(CapScope.REWARD, MAX_AMOUNT_MINOR, Period.LIFETIME, Overflow.DROP, "")
"""The cap of every reward, after those of its rule. No plan states more; a percentage, or many lines together, may come to more."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what several rules together pay to all."""

    budget_id: str
    asset: str
    amount_minor: int
    period: Period
    overflow: Overflow
    rule_ids: frozenset[str]
    name: str
    """Of its tally."""


def fitting(amount_minor: int, room_minor: int, overflow: Overflow) -> int:
    """How much of an amount is paid where there is so much room."""
    if amount_minor <= room_minor:
        return amount_minor
    return max(room_minor, 0) if overflow is Overflow.CLAMP else 0
