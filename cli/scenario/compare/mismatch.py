"""Something that is not as expected, and values as a scenario file would say them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not as expected."""

    path: str
    """The path of the expectation in the file."""
    expected: tuple[str, ...]
    """The expectation, in lines for people; what was found stands beside it in the same way."""
    found: tuple[str, ...]


def mismatches_of(path: str, pairs: Iterable[tuple[str, Any, Any]]) -> list[Mismatch]:
    """The differences among (name, expected, found). None is an expectation that was not said."""
    return [
        Mismatch(f"{path}.{name}", (shown_value(wanted),), (shown_value(there),))
        for name, wanted, there in pairs
        if wanted is not None and wanted != there
    ]


def shown_value(value: Any) -> str:
    """A value as the file would say it."""
    if value == "":
        return NOTHING
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def shown_facts(facts: dict[str, Any]) -> str:
    """Facts in one line, each with its name."""
    return ", ".join(f"{name}: {shown_value(value)}" for name, value in facts.items())
