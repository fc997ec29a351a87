"""Rewards as they stand, and their sums: the values that readers ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as it stands."""

    reward_id: str
    program_id: str
    conversion_id: str
    rule_id: str
    beneficiary_id: str
    level: int
    asset: str
    amount_minor: int
    net_minor: int
    """The amount with all revisions."""
    hold_until: datetime | None
    plan_version: int
    held: bool
    until_event: str
    """The event that it waits for; empty for none, and when it is no longer held."""
    awaits_approval: bool
    rejection_reason: str
    """The reason of the person who rejected the reward; empty if nobody did."""


class RevisionView(NamedTuple):
    """One change of a reward after its accrual."""

    reversal_id: str
    """The reversal that caused it; empty for a rejection."""
    delta_minor: int
    record_time: datetime


class AssetTotals(NamedTuple):
    """The rewards of a program in one asset."""

    asset: str
    reward_count: int
    accrued_minor: int
    reversed_minor: int
    """The sum that reversals took back."""
    rejected_minor: int
    """The sum that people rejected."""
    earner_count: int
    top: Sequence[tuple[str, int]]
    """(participant, amount) of those who hold most, the most first."""


class ProgramTotals(NamedTuple):
    """The conversions and rewards of a program."""

    conversion_count: int
    gross_minor: int
    """The sum of what was paid at first."""
    reversal_count: int
    assets: Sequence[AssetTotals]
