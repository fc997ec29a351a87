"""Which of a buyer's conversions a rule pays."""

from dataclasses import dataclass
from datetime import timedelta

from services.rewards.domain import tallies
from services.rewards.domain.facts import Facts


@dataclass(frozen=True, slots=True)
class Occurrence:
    """At least one of its fields is set."""

    first: int = 0
    """How many of the first are paid; 0 for any number."""
    nth: int = 0
    """Which one is paid; 0 for any."""
    within_of_binding: timedelta | None = None
    """How long after the buyer's binding (exclusive); None for ever, also if he is not bound."""

    def pays(self, rule_id: str, facts: Facts) -> bool:
        """Whether this conversion is one of them. Its condition is true already: it counts."""
        buyer_id = facts.conversion.buyer_id
        if self.first and facts.snapshot.value(tallies.occurrence(rule_id), buyer_id) >= self.first:
            return False
        if self.nth and facts.snapshot.value(tallies.seen(rule_id), buyer_id) + 1 != self.nth:
            return False
        if self.within_of_binding is None:
            return True
        bind_time = facts.details.bind_time
        return bind_time is not None and facts.conversion.occurred_at < bind_time + self.within_of_binding
