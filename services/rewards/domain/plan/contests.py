"""Contests: rankings by a counter, which become final when they close."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Prize:
    """An amount that each of some ranks wins."""

    from_rank: int
    to_rank: int
    """The last rank that wins it, included."""
    asset: str
    amount_minor: int


class ContestState(Enum):
    """The states of a contest."""

    SCHEDULED = auto()
    RUNNING = auto()
    ENDED = auto()
    """Nothing that happens counts any more; what happened before may still arrive."""
    CLOSED = auto()
    """The ranking is final and its prizes are posted."""


@dataclass(frozen=True, slots=True)
class Score:
    """The counter that a participant reached, and when."""

    participant_id: str
    score: int
    reach_time: datetime
    reach_position: int
    """The position of the last fact that changed the score, which tells facts of one time apart. 0: it was changed
    before this was kept."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A ranking of participants by a counter over a time."""

    contest_id: str
    counter_id: str
    start_time: datetime
    """The first moment whose conversions count, by their `occurred_at`."""
    end_time: datetime
    """The first moment whose conversions no longer count."""
    min_score: int
    """The smallest score that is ranked, from 1."""
    close_after: timedelta
    """The time from the end until the ranking becomes final."""
    prizes: tuple[Prize, ...]

    @property
    def close_time(self) -> datetime:
        """The moment at which the ranking becomes final."""
        return self.end_time + self.close_after

    def state_at(self, moment: datetime) -> ContestState:
        """The state of the contest at a moment, as long as it is not closed."""
        if moment >= self.end_time:
            return ContestState.ENDED
        return ContestState.RUNNING if moment >= self.start_time else ContestState.SCHEDULED

    @property
    def prize_ranks(self) -> int:
        """The number of ranks down to the last that wins something."""
        return max((each.to_rank for each in self.prizes), default=0)

    def won_at(self, rank: int) -> list[Prize]:
        """The prizes of one rank."""
        return [each for each in self.prizes if each.from_rank <= rank <= each.to_rank]


def contest_cause(program_id: str, contest_id: str) -> str:
    """The cause that prizes name."""
    return f"contest:{program_id}/{contest_id}"
