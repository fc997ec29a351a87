"""Rounding of exact fractions to whole minor units. All amounts here are non-negative."""

from collections.abc import Callable
from enum import Enum
from operator import floordiv


class Rounding(Enum):
    """The modes of rounding, by the names of `decimal` (IEEE 754-2019 §4.3)."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    DOWN = "down"


Rounder = Callable[[int, int], int]
"""numerator, denominator → numerator / denominator as an integer; numerator ≥ 0, denominator > 0."""


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    doubled = 2 * rest
    return quotient + (doubled > denominator or (doubled == denominator and quotient & 1))


_ROUNDERS: dict[Rounding, Rounder] = {
    Rounding.HALF_EVEN: _half_even,
    Rounding.HALF_UP: _half_up,
    Rounding.DOWN: floordiv,
}


def rounder(mode: Rounding) -> Rounder:
    """The function that rounds in a mode."""
    return _ROUNDERS[mode]
