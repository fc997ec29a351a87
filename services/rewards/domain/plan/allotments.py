"""Allotments: one amount that several rules divide by weights, so that their parts come to it exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.plan.amounts import LevelAmount

MAX_PARTS = 100
"""The parts of one allotment, over all its rules and levels: the time to divide what is left after a refund grows with
their square at worst."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """An amount that is divided, and the weights of its parts."""

    allotment_id: str
    whole: LevelAmount
    """The sum of all parts before rounding: a share of the base, or fixed. It belongs to no level."""
    weights: tuple[Fraction, ...]
    """The weight of each part, in the order of rules and levels; more than 0."""

    def divided(self, whole_minor: int) -> tuple[int, ...]:
        """The parts of so many units by the method of the largest remainder.

        Each part gets its exact share rounded down, and the units that are left over go, one each, to those with the
        largest remainders, to the first of equals. It is Hamilton's method of apportionment (M. L. Balinski and H. P.
        Young, Fair Representation, 1982, chapter 3).
        """
        total = sum(self.weights)
        exact = [whole_minor * weight / total for weight in self.weights]
        parts = [each.__floor__() for each in exact]
        by_remainder = sorted(range(len(parts)), key=lambda number: parts[number] - exact[number])
        for number in by_remainder[: whole_minor - sum(parts)]:
            parts[number] += 1
        return tuple(parts)


class Divided(NamedTuple):
    """An allotment for one conversion, in whole units of its asset."""

    at_first_minor: int
    """The amount when the conversion was whole."""
    left_minor: int
    """The amount of what is left of the conversion."""
    parts_minor: tuple[int, ...]
    """The parts of what is left; all of them, also those that nobody takes."""


@dataclass(frozen=True, slots=True)
class Part:
    """The share of an allotment that one rule gets."""

    allotment: Allotment
    numbers: tuple[int, ...]
    """The number of its part for each of the rule's levels."""


def diminished(parts: Sequence[int], left_minor: int) -> tuple[int, ...]:
    """The parts once only `left_minor` of their units remain: each keeps about its share, and none grows as the whole
    shrinks.

    The largest remainder does not promise the second (with weights 6, 6 and 2, the last gets 2 of 10 units and 1 of
    11: the Alabama paradox), so units are taken back by the method of Webster and Sainte-Laguë, whose parts only grow
    with the whole (Balinski and Young, chapter 8 and appendix A). The n-th unit of a part has the claim part / (n −
    1/2); those with the largest claims stay, of equal ones those of the first part. As it is the parts themselves that
    are the weights, all units have a claim of more than 1, and no others have.
    """
    whole = sum(parts)
    if left_minor >= whole:
        return tuple(parts)
    # All claims above whole / left_minor at once, which is nearly all that stay, and then the rest one by one.
    remaining = [(2 * part * left_minor + whole - 1) // (2 * whole) for part in parts]
    while (missing := left_minor - sum(remaining)) != 0:
        if missing > 0:
            number = max(range(len(remaining)), key=lambda each: Fraction(parts[each], 2 * remaining[each] + 1))
            remaining[number] += 1
        else:
            held = [each for each in reversed(range(len(remaining))) if remaining[each]]
            number = min(held, key=lambda each: Fraction(parts[each], 2 * remaining[each] - 1))
            remaining[number] -= 1
    return tuple(remaining)
