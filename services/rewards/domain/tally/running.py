"""Tallies while facts are decided one after the other: each sees what those before it left."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from services.rewards.domain.tally.snapshot import Snapshot, snapshot_of
from services.rewards.domain.tally.tallies import (
    UNUSUAL,
    TallyKey,
    contest,
    contest_member,
    headcount,
    is_score,
)

EffectTime = tuple[datetime, int]
"""When a fact takes effect: its record time, and its position, which tells facts of one time apart."""


class TallyChanges(NamedTuple):
    """The changes that facts made to the tallies of one program."""

    added: dict[TallyKey, int]
    reached: dict[TallyKey, EffectTime]
    """When each score among them was last changed."""


class RunningTallies:
    """The tallies of one program that some facts read and change."""

    def __init__(self, values: Mapping[TallyKey, int]) -> None:
        self._values = dict(values)
        self._final: set[str] = set()
        self.changes: dict[TallyKey, int] = {}
        """How much was added to each tally since the beginning."""
        self.reached: dict[TallyKey, EffectTime] = {}
        """When each score was last changed."""

    def snapshot(self, keys: Iterable[TallyKey]) -> Snapshot:
        """The snapshot with which a fact that reads `keys` is decided now."""
        return snapshot_of(keys, self._values)

    def close(self, contest_id: str) -> None:
        """Makes a contest's ranking final."""
        self._final |= {contest(contest_id), contest_member(contest_id)}

    def take_changes(self) -> TallyChanges:
        """Hands over what was changed since the beginning, or since the last call."""
        changes = TallyChanges(self.changes, self.reached)
        self.changes, self.reached = {}, {}
        return changes

    def value(self, key: TallyKey) -> int:
        """One tally as it stands."""
        return self._values.get(key, 0)

    def apply(self, effects: Iterable[tuple[TallyKey, int]], time: EffectTime) -> None:
        """Adds the effects of a fact at its `time`. Members that come or go change their headcount."""
        values, changes, final = self._values, self.changes, self._final
        for key, change in effects:
            is_unusual = key[0].startswith(UNUSUAL)
            if not change or (is_unusual and key[0] in final):
                continue
            before = values.get(key, 0)
            values[key] = before + change
            changes[key] = changes.get(key, 0) + change
            if is_unusual:
                self._follow(key, before, change, time)

    def _follow(self, key: TallyKey, before: int, change: int, time: EffectTime) -> None:
        """Applies the further changes that follow from a change of a score or a member."""
        if is_score(key[0]):
            self.reached[key] = max(time, self.reached.get(key, time))
        elif (head := headcount(key)) is not None and (step := (before + change > 0) - (before > 0)):
            self.apply([(head, step)], time)
