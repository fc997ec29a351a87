"""Contests by a counter."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Prize:
    """What some ranks win, each of them."""

    from_rank: int
    to_rank: int
    """Inclusive."""
    asset: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Contest:
    """Who has the highest counter at the end."""

    contest_id: str
    counter_id: str
    start_time: datetime
    """From when conversions count (inclusive, by `occurred_at`)."""
    end_time: datetime
    """Until when (exclusive)."""
    min_score: int
    """The smallest score that is ranked, from 1."""
    settle_after: timedelta
    """How long after the end the ranking is final."""
    prizes: tuple[Prize, ...]
