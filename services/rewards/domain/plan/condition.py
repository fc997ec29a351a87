"""Conditions: the port behind which expressions are compiled and evaluated."""

from collections.abc import Mapping
from typing import Final, Protocol

COUNTERS_PREFIX: Final = "counters."
"""The prefix of variables that stand for counters of the person who is paid."""
OTHER_TEXT: Final = "\x01 any other text"
"""The text that stands for all that a condition does not name: no caller may send a control character."""

Variable = tuple[str, str]
"""A variable as (name, key): of a map, the entry with this key; the key is empty for a variable by itself."""


class ConditionError(Exception):
    """A condition could not be evaluated. The text says why, for people."""


class SharedFacts:
    """The facts of a conversion, for conditions that ask about its lines. Most of what these take is to hand the lines
    over, so what evaluating makes of the facts for one condition is kept here for the next. It may be large: whoever is
    done asking lets it go."""

    __slots__ = ("handed", "values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values
        """The values of all variables that do not depend on a person."""
        self.handed: object = None
        """The facts as whoever evaluates has made them, which is nobody else's to read."""


class Condition(Protocol):
    """A compiled expression that is true or not."""

    @property
    def text(self) -> str:
        """The expression as the plan states it."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that `holds` has to be given; `decide/inputs.py` knows them."""

    @property
    def asks_for_people(self) -> bool:
        """Whether the condition depends on the person who is paid, not on the conversion alone."""

    def steps(self, values: Mapping[str, object]) -> int:
        """The most steps that an evaluation takes with these values. A variable that is left out counts as the largest
        that there can be."""

    @property
    def alternatives(self) -> Mapping[Variable, frozenset[object]] | None:
        """Values of each variable that between them take the condition through everything it can be, among them None
        for an entry that a map lacks. None instead of a mapping for a condition that is too complex for that."""

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether the condition is true. Raises ConditionError where it has no value, as for a missing attribute."""

    def holds_among(self, facts: SharedFacts) -> bool:
        """Whether a condition that does not ask for people is true, as `holds` says."""


def counters_in(condition: Condition) -> frozenset[str]:
    """The counters that a condition asks for."""
    prefix = COUNTERS_PREFIX
    return frozenset(name.removeprefix(prefix) for name in condition.names if name.startswith(prefix))
