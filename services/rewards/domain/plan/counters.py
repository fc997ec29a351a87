"""Counters: what is counted for each participant, and what one conversion adds."""

from dataclasses import dataclass
from enum import Enum

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.plan.audience import Audience
from services.rewards.domain.plan.condition import Condition
from services.rewards.domain.plan.periods import Period


class Measure(Enum):
    """What a counter adds up."""

    CONVERSIONS = "conversions"
    VOLUME = "volume"
    REFEREES = "referees"


_VOLUME = Measure.VOLUME  # in Python 3.11, to look up a member takes longer than much of what is done with it


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a plan."""

    counter_id: str
    event_types: frozenset[str]
    when: Condition | None
    """Of the conversion alone."""
    of: Audience
    measure: Measure
    period: Period

    def adds(self, conversion: Conversion) -> int:
        """What a conversion that counts adds for each of its people: 1 for REFEREES too, to the members."""
        if conversion.void:
            return 0
        return conversion.remaining_minor if self.measure is _VOLUME else 1
