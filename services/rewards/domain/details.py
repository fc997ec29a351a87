"""Details of a conversion besides people and amounts: conditions, lines and shares ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MAX_LINES = 500
"""The most lines of a conversion that its contract allows."""


CLOCK_TOLERANCE = timedelta(minutes=1)
"""The time by which a conversion may seem to come before the binding that it came with: many systems cut their times to
the minute, and the clock of the system that reports it is not that of the system that binds. Attribution has the same
tolerance."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    line_id: str
    sku: str
    category: str
    amount_minor: int
    """The price of the line at first."""
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Details:
    """Everything that only some plans ask for; fields that were not reported are empty."""

    lines: Sequence[Line] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    new_customer: bool = False
    """Whether the buyer is new; False also where the caller does not know."""
    channel: str = ""
    campaign: str = ""
    code: str = ""
    """The code behind the conversion."""
    link_id: str = ""
    """The link behind the conversion."""
    link_owner_id: str = ""
    link_owner_attributes: Mapping[str, str] = field(default_factory=dict)
    """The attributes of the link's owner; empty where the owner stands in the upline, which has them."""
    share_percent: str = ""
    """The percentage that the buyer's referrer chose to give to the buyer, an exact decimal; empty for no choice."""
    link_share_percent: str = ""
    """The percentage that the link's owner chose to give to the buyer of this conversion; empty for no choice."""
    uncredited: str = ""
    """The reason why attribution credits nobody: its name in the contract in lower case, such as `before_binding`;
    empty where it credits somebody."""
    bind_time: datetime | None = None
    buyer_attributes: Mapping[str, str] = field(default_factory=dict)
    upline_attributes: Sequence[Mapping[str, str]] = ()
    """The attributes of the upline by level: the first are the sponsor's."""

    def bound_for(self, occurred_at: datetime) -> timedelta | None:
        """The time for which the buyer had been bound when the conversion occurred; None if they were not bound then:
        never, or only later."""
        if self.bind_time is None or occurred_at + CLOCK_TOLERANCE < self.bind_time:
            return None
        return max(occurred_at - self.bind_time, timedelta())
