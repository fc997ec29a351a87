"""Holds of a plan: what the rewards of a rule wait for before they are available."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Hold:
    """The conditions for a reward to become available; all that are stated must be met."""

    duration: timedelta | None = None
    """The time since the conversion happened; None where time makes no difference."""
    until_event: str = ""
    """The type of a later event of the buyer's; empty where no event is awaited."""
    approval: bool = False
    """Whether a person has to approve."""

    @property
    def waits(self) -> bool:
        """Whether more than time has to come."""
        return bool(self.until_event) or self.approval
