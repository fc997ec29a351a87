"""Enumerations in statements, where their members stand as the numbers that are stored."""

from collections.abc import Iterable
from enum import IntEnum


def numbers(*members: IntEnum) -> str:
    """The members as SQL lists them, such as `3, 5`."""
    return ", ".join(f"{each:d}" for each in members)


def number_rows(combinations: Iterable[tuple[IntEnum, ...]]) -> str:
    """Combinations of members as SQL lists rows, such as `(4, 3, 5), (6, 3, 4)`."""
    return ", ".join(f"({numbers(*each)})" for each in combinations)
