"""A plan as it decides: every rule reduced to an exact amount per level."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.asset import Asset
from services.rewards.domain.rounding import Rounding
from services.rewards.domain.terms import NO_TERMS, Terms

MAX_LEVEL = 64
"""Levels an event carries."""
BUYER_LEVEL = 0
MAX_ASSET_MINOR_PER_BASE_MINOR = 9_000
"""With conversions of at most 10^15 minor units, no single reward can leave int64."""


class Base(Enum):
    """What a percentage is taken of."""

    ORDER = "order"
    MARGIN = "margin"


class LevelAmount(NamedTuple):
    """What one level gets: a share of the base, or a fixed amount."""

    level: int
    """0 for the buyer, 1 for his sponsor, …"""
    numerator: int
    """Asset minor units: of one minor unit of the base, or fixed."""
    denominator: int
    percent: Fraction | None
    """The percentage as the plan states it; None for a fixed amount."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: on these events, these levels get this much."""

    rule_id: str
    ordinal: int
    """Position in the plan: part of reward ids."""
    event_types: frozenset[str]
    levels: tuple[LevelAmount, ...]
    base: Base
    asset: Asset
    hold: timedelta | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a program's plan."""

    program_id: str
    version: int
    currency_code: str
    rounding: Rounding
    assets: tuple[Asset, ...]
    rules: tuple[Rule, ...]
    effective_time: datetime | None
    """From when it pays (inclusive); None for since always."""
    rules_by_event: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    terms: Terms = NO_TERMS

    def listening(self, event_type: str) -> tuple[Rule, ...]:
        """The rules that an event type triggers, in the plan's order."""
        found = self.rules_by_event.get(event_type)
        if found is None:
            found = tuple(rule for rule in self.rules if event_type in rule.event_types)
            self.rules_by_event[event_type] = found
        return found


def in_force(versions: tuple[Plan, ...], moment: datetime) -> Plan | None:
    """The version that pays for a conversion at `moment`; `versions` in ascending order."""
    for plan in reversed(versions):
        if plan.effective_time is None or plan.effective_time <= moment:
            return plan
    return None
