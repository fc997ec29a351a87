"""What a conversion says of itself besides who and how much: conditions, lines and shares ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MAX_LINES = 500
"""Of a conversion, as its contract bounds them."""


CLOCK_TOLERANCE = timedelta(minutes=1)
"""The time by which a conversion may seem to come before the binding that it came with: many systems cut their times to
the minute, and the clock of whoever reports it is not that of whoever binds. It is attribution's tolerance too."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    line_id: str
    sku: str
    category: str
    amount_minor: int
    """Its price at first."""
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Details:
    """Everything that only some plans ask for; what was not reported is empty."""

    lines: Sequence[Line] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    new_customer: bool = False
    """False also where the caller does not know."""
    channel: str = ""
    campaign: str = ""
    code: str = ""
    """The code behind the conversion."""
    link_id: str = ""
    """The link behind the conversion."""
    link_owner_id: str = ""
    link_owner_attributes: Mapping[str, str] = field(default_factory=dict)
    """Empty where he stands in the upline, which has them."""
    share_percent: str = ""
    """What the buyer's referrer chose to give to him, an exact decimal; empty if he chose nothing."""
    link_share_percent: str = ""
    """The same of the link's owner, for this conversion."""
    uncredited: str = ""
    """The reason why attribution credits nobody: its name in the contract in lower case, such as `before_binding`;
    empty where it credits somebody."""
    bind_time: datetime | None = None
    buyer_attributes: Mapping[str, str] = field(default_factory=dict)
    upline_attributes: Sequence[Mapping[str, str]] = ()
    """By level: the first is the sponsor's."""

    def bound_for(self, occurred_at: datetime) -> timedelta | None:
        """How long the buyer had been bound when it happened; None if they were not bound then: never, or only
        later."""
        if self.bind_time is None or occurred_at + CLOCK_TOLERANCE < self.bind_time:
            return None
        return max(occurred_at - self.bind_time, timedelta())
