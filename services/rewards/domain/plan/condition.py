"""Conditions: the port behind which expressions are compiled and evaluated."""

from collections.abc import Mapping
from typing import Final, Protocol

COUNTERS_PREFIX: Final = "counters."
"""Of the variables that stand for counters of whoever is paid."""
OTHER_TEXT: Final = "\x01 any other text"
"""Stands for every text that a condition does not name: nobody has a control character in theirs."""

Variable = tuple[str, str]
"""A variable as (name, key): of a map, the entry with this key; the key is empty for a variable by itself."""


class ConditionError(Exception):
    """A condition could not be evaluated. The text says why, for people."""


class Condition(Protocol):
    """A compiled expression that is true or not."""

    @property
    def text(self) -> str:
        """The expression as the plan states it."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that `holds` has to be given; `decide/facts.py` knows them."""

    @property
    def asks_for_people(self) -> bool:
        """Whether it depends on who is paid, not on the conversion alone."""

    @property
    def alternatives(self) -> Mapping[Variable, frozenset[object]] | None:
        """For each variable, values that between them take the condition through everything it can be; None for an
        entry that the map does not have. None in all where they cannot be told."""

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether it is true. Raises ConditionError where it has no value, such as for an attribute that is missing."""


def counters_in(condition: Condition) -> frozenset[str]:
    """The counters that a condition asks for."""
    prefix = COUNTERS_PREFIX
    return frozenset(name.removeprefix(prefix) for name in condition.names if name.startswith(prefix))
