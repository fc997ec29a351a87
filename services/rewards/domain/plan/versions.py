"""The versions of a program's plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.rewards.domain.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class PlanVersions:
    """Every version of one program's plan in ascending order; none for a program without a plan."""

    plans: tuple[Plan, ...] = ()

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)

    def __reversed__(self) -> Iterator[Plan]:
        return reversed(self.plans)

    def __len__(self) -> int:
        return len(self.plans)

    def version(self, number: int) -> Plan:
        """The version with a number, counted from 1."""
        return self.plans[number - 1]

    def in_force(self, time: datetime) -> Plan | None:
        """The version that pays for a conversion at `time`; None before the first one begins."""
        for plan in reversed(self.plans):
            if plan.effective_time is None or plan.effective_time <= time:
                return plan
        return None

    @property
    def asset_digits(self) -> dict[str, int]:
        """Decimal places of every asset of any version; those of the newest version come first."""
        digits: dict[str, int] = {}
        for plan in reversed(self.plans):
            for asset in plan.assets:
                digits.setdefault(asset.code, asset.digits)
        return digits

    @property
    def has_order(self) -> bool:
        """Whether it matters in which order the program's facts are settled, for any version."""
        return any(plan.has_order for plan in self.plans)

    @property
    def waits(self) -> bool:
        """Whether a hold of any version needs more than time."""
        return any(plan.waits for plan in self.plans)

    @property
    def awaited_events(self) -> frozenset[str]:
        """The event types that holds of any version wait for."""
        return frozenset(
            rule.hold.until_event for plan in self.plans for rule in plan.rules if rule.hold and rule.hold.until_event
        )
