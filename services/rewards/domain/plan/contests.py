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

    @property
    def close_time(self) -> datetime:
        """When the ranking is final."""
        return self.end_time + self.settle_after

    @property
    def prize_ranks(self) -> int:
        """How many ranks there are to the last that wins something."""
        return max((each.to_rank for each in self.prizes), default=0)

    def won_at(self, rank: int) -> list[Prize]:
        """What a rank wins."""
        return [each for each in self.prizes if each.from_rank <= rank <= each.to_rank]


def contest_cause(program_id: str, contest_id: str) -> str:
    """What prizes are posted for."""
    return f"contest:{program_id}/{contest_id}"
