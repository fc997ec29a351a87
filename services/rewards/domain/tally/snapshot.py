"""Snapshots: the tallies that a decision reads, as they stood before the conversion.

A snapshot is stored with its conversion: a refund years later, an explanation and a rebuild decide with the same one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quote

from services.rewards.domain.tally.tallies import TallyKey


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tallies at one time; one that is missing is 0."""

    values: Mapping[TallyKey, int] = field(default_factory=dict)

    def value(self, name: str, subject: str, period: str = "") -> int:
        """One tally."""
        return self.values.get((name, subject, period), 0)

    def to_json(self) -> str:
        """Compact, and always the same for the same values."""
        rows = []
        for key in sorted(self.values):
            name, subject, period = key
            rows.append(f"[{quote(name)},{quote(subject)},{quote(period)},{self.values[key]}]")
        return f"[{','.join(rows)}]"


EMPTY = Snapshot()
"""The snapshot for plans that count nothing."""


def snapshot_of(keys: Iterable[TallyKey], tallies: Mapping[TallyKey, int]) -> Snapshot:
    """The snapshot of the tallies with these keys; those that are 0 are left out."""
    return Snapshot({key: value for key in keys if (value := tallies.get(key, 0))})


def from_json(text: str) -> Snapshot:
    """The inverse of `Snapshot.to_json`."""
    return Snapshot({(name, subject, period): value for name, subject, period, value in json.loads(text)})
