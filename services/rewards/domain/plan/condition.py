"""Conditions: the port behind which expressions are compiled and evaluated."""

from collections.abc import Mapping
from typing import Protocol


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

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether it is true. Raises ConditionError where it has no value, such as for an attribute that is missing."""
