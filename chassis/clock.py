"""Time is injected: nothing else in the services reads the wall clock."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The source from which a process takes the present."""

    def now(self) -> datetime:
        """The present, UTC, aware."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Lets so many seconds pass. A job that repeats itself pauses by this, so that a test's clock can call for its
        next round."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, UTC, aware."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Lets so many seconds pass."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to; for tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The present, UTC, aware."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Lets so many seconds of the machine's time pass."""
        await asyncio.sleep(seconds)

    def set(self, now: datetime) -> None:
        """Moves the clock to `now`."""
        self._now = now
