"""Counters: the numbers that are counted for each participant, and the amount that one conversion adds."""

from dataclasses import dataclass, field
from enum import Enum

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.plan.audience import Audience
from services.rewards.domain.plan.condition import Condition
from services.rewards.domain.plan.periods import Period
from services.rewards.domain.tally import tallies


class Measure(Enum):
    """The thing that a counter adds up."""

    CONVERSIONS = "conversions"
    VOLUME = "volume"
    REFEREES = "referees"


# In Python 3.11, to look up a member takes longer than much of what is done with it.
_VOLUME, _REFEREES = Measure.VOLUME, Measure.REFEREES


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a plan."""

    counter_id: str
    event_types: frozenset[str]
    when: Condition | None
    """The condition, on the conversion alone, for it to count; None for every conversion."""
    of: Audience
    measure: Measure
    period: Period
    name: str = field(init=False)
    """The name of its tallies."""
    changed: str = field(init=False)
    """The name of the tallies that a conversion changes: the same, or those of its members for REFEREES."""

    def __post_init__(self) -> None:
        name = tallies.counter(self.counter_id)
        object.__setattr__(self, "name", name)
        is_of_heads = self.measure is _REFEREES
        object.__setattr__(self, "changed", tallies.member(self.counter_id) if is_of_heads else name)

    def adds(self, conversion: Conversion) -> int:
        """The amount that a counted conversion adds for each of its people; for REFEREES too, 1 to the members."""
        if conversion.void:
            return 0
        return conversion.remaining_minor if self.measure is _VOLUME else 1
