"""Tiers: an amount that depends on a counter of the beneficiary's."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from services.rewards.domain.plan.amounts import LevelAmount


class TierMode(Enum):
    """The way in which a counter changes the amount."""

    NEXT = "next"
    MARGINAL = "marginal"
    BONUS = "bonus"


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a counter."""

    bound: int
    """The smallest value of the counter at which the tier holds."""
    levels: tuple[LevelAmount, ...]
    """The amount of each of the rule's levels at this tier; for BONUS, the bonus."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Steps by a counter, in ascending order. Below the first, the rule's own amounts hold."""

    counter_id: str
    mode: TierMode
    tiers: tuple[Tier, ...]
    bounds: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", tuple(each.bound for each in self.tiers))

    def at(self, value: int) -> int:
        """The number of the tier that holds at a counter's value, from 1; 0 below the first."""
        return bisect_right(self.bounds, value)

    def parts(self, value: int, volume_minor: int) -> Iterator[tuple[int, int]]:
        """The stretch of `volume_minor` from `value` on, split at the bounds: (tier as by `at`, length of the part)."""
        number, end = self.at(value), value + volume_minor
        while value < end:
            stop = min(end, self.bounds[number]) if number < len(self.bounds) else end
            yield number, stop - value
            value, number = stop, number + 1


def average(parts: list[tuple[Fraction, int]]) -> Fraction:
    """The mean of shares, weighted by the amounts that they are taken of; they are not all 0."""
    return sum((share * weight for share, weight in parts), Fraction()) / sum(weight for _, weight in parts)
