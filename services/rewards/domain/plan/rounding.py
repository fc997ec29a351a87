"""From exact fractions to whole minor units. All amounts here are non-negative."""

from enum import Enum


class Rounding(Enum):
    """How a fraction becomes an integer; the names of `decimal` (IEEE 754-2019 §4.3)."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    DOWN = "down"


_DOWN = Rounding.DOWN  # in Python 3.11, to look up a member takes longer than much of what is done with it


def round_fraction(numerator: int, denominator: int, mode: Rounding) -> int:
    """numerator / denominator as an integer; numerator ≥ 0, denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    if rest == 0 or mode is _DOWN:
        return quotient
    doubled = 2 * rest
    if doubled > denominator:
        return quotient + 1
    if doubled == denominator:
        return quotient + 1 if mode is Rounding.HALF_UP else quotient + (quotient & 1)
    return quotient
