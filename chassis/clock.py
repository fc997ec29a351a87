"""Time is injected: nothing else in the services reads the wall clock."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a process takes the present from."""

    def now(self) -> datetime:
        """The present, UTC, aware."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, UTC, aware."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to; for tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The present, UTC, aware."""
        return self._now

    def set(self, now: datetime) -> None:
        """Moves the clock to `now`."""
        self._now = now
