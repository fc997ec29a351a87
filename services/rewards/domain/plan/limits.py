"""Caps and budgets: the most that is paid."""

from dataclasses import dataclass
from enum import Enum

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.periods import Period
from services.rewards.domain.tally.tallies import TallyKey, pair


class CapScope(Enum):
    """The rewards that a cap counts together."""

    REWARD = "reward"
    BENEFICIARY = "beneficiary"
    REFEREE = "referee"
    PROGRAM = "program"


_REWARD, _BENEFICIARY, _REFEREE = CapScope.REWARD, CapScope.BENEFICIARY, CapScope.REFEREE


class Overflow(Enum):
    """The fate of a reward that does not fit."""

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
    """The name of its tally."""

    def tally(self, beneficiary_id: str, buyer_id: str, period: str) -> TallyKey | None:
        """The tally of what is used of the cap, in a period by its name; None for a cap of one reward."""
        scope = self.scope
        if scope is _BENEFICIARY:
            return self.name, beneficiary_id, period
        if scope is _REWARD:
            return None
        return self.name, pair(beneficiary_id, buyer_id) if scope is _REFEREE else "", period


LARGEST = Cap(CapScope.REWARD, MAX_AMOUNT_MINOR, Period.LIFETIME, Overflow.DROP, "")
"""The cap of every reward, after those of its rule. No plan states more; a percentage, or many lines together, may come
to more."""


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
    """The name of its tally."""

    def concerns(self, rule_id: str, asset: str) -> bool:
        """Whether what a rule pays in an asset uses it up."""
        return asset == self.asset and (not self.rule_ids or rule_id in self.rule_ids)

    def tally(self, _beneficiary_id: str, _buyer_id: str, period: str) -> TallyKey:
        """The tally of what is used of the budget."""
        return self.name, "", period


def fitting(amount_minor: int, headroom_minor: int, overflow: Overflow) -> int:
    """The part of an amount that is paid within a headroom."""
    if amount_minor <= headroom_minor:
        return amount_minor
    return max(headroom_minor, 0) if overflow is Overflow.CLAMP else 0
