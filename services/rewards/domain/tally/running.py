"""Tallies while facts are decided one after the other: each sees what those before it left."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from services.rewards.domain.tally.snapshot import Snapshot, take
from services.rewards.domain.tally.tallies import TallyKey, contest, contest_member, headcount, is_score


class RunningTallies:
    """The tallies that some facts read and change."""

    def __init__(self, values: Mapping[TallyKey, int]) -> None:
        self._values = dict(values)
        self._final: set[tuple[str, str]] = set()
        self.changes: dict[TallyKey, int] = {}
        """What was added to each since the beginning."""
        self.reach_times: dict[TallyKey, datetime] = {}
        """When each score was last changed."""

    def snapshot(self, keys: Iterable[TallyKey]) -> Snapshot:
        """What a fact that reads `keys` is decided with now."""
        return take(keys, self._values)

    def close(self, program_id: str, contest_id: str) -> None:
        """Makes a contest's ranking final."""
        self._final |= {(program_id, contest(contest_id)), (program_id, contest_member(contest_id))}

    def take_changes(self) -> tuple[dict[TallyKey, int], dict[TallyKey, datetime]]:
        """What was changed since the beginning, or since the last call, and when each score was last changed."""
        taken = self.changes, self.reach_times
        self.changes, self.reach_times = {}, {}
        return taken

    def value(self, key: TallyKey) -> int:
        """One tally as it stands."""
        return self._values.get(key, 0)

    def apply(self, effects: Mapping[TallyKey, int], record_time: datetime) -> None:
        """Adds what a fact recorded at `record_time` changes. Members that come or go change their headcount."""
        values, final = self._values, self._final
        for key, change in effects.items():
            if not change or (final and key[:2] in final):
                continue
            before = values.get(key, 0)
            self._add(key, change, record_time)
            if (head := headcount(key)) is not None and (step := (before + change > 0) - (before > 0)):
                self._add(head, step, record_time)

    def _add(self, key: TallyKey, change: int, record_time: datetime) -> None:
        self._values[key] = self._values.get(key, 0) + change
        self.changes[key] = self.changes.get(key, 0) + change
        if is_score(key[1]):
            self.reach_times[key] = max(record_time, self.reach_times.get(key, record_time))
