"""Things that failed lately are left alone for a while, so that those behind them get their turn."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MAX_RESTING = 10_000
"""The most things that are remembered: a megabyte. Beyond it the one that failed first is forgotten, and so is tried
again earlier than it would be."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Rest:
    ends: float
    pause: float
    error: Exception


@dataclass(slots=True)
class Resting(Generic[Key]):
    """The things that failed in one process, and until when each rests: twice as long after each failure.

    Time is what the caller counts: seconds, or looks at what is due. Nothing is lost with a process that ends: what it
    remembers is only tried again.
    """

    first_pause: float
    max_pause: float
    _rests: dict[Key, _Rest] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many things are remembered, whether they rest now or did before."""
        return len(self._rests)

    def failed(self, key: Key, error: Exception, now: float) -> None:
        """Begins a rest."""
        before = self._rests.pop(key, None)
        pause = self.first_pause if before is None else min(2 * before.pause, self.max_pause)
        self._rests[key] = _Rest(now + pause, pause, error)
        if len(self._rests) > MAX_RESTING:
            del self._rests[next(iter(self._rests))]

    def worked(self, key: Key) -> None:
        """Forgets that it ever failed."""
        self._rests.pop(key, None)

    def error_of(self, key: Key, now: float) -> Exception | None:
        """The error for which it rests now; None if it does not."""
        rest = self._rests.get(key)
        return rest.error if rest is not None and now < rest.ends else None

    def keys(self, now: float) -> list[Key]:
        """All that rest now."""
        return [key for key, rest in self._rests.items() if now < rest.ends]
