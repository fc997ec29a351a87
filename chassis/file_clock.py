"""A clock that a test moves: a file says what time it is, for all processes of a stack that was started for tests.

Time stands still until it is moved. So everything in one step of a test happens at one instant, and an end that is
exclusive can be tested to the microsecond.

The file also holds the number of a round. Whoever plays the test asks for the next one, and every job of every process
that pauses by `Clock.sleep` works once more and reports. A job that pauses for long (audits, upkeep) works only where
the clock was moved by as much as it pauses, or back. So a test knows, without waiting for real time to pass, that
everything which the moved clock made due was done.

The clock of a production stack cannot be moved: a service refuses the file unless it listens on a loopback address and
its database says that it belongs to a stack for tests.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from chassis.clock import Clock, SystemClock
from chassis.settings import ServiceSettings

CLUSTER_NAME = "upline-test-clock"
"""PostgreSQL's `cluster_name` in a stack whose clock can be moved. It is given on the server's command line, where no
client can set it."""
EVERY_ROUND_SECONDS = 120.0
"""A job that pauses no longer than this works in every round: the work it follows up may have come about while time
stood still."""
POLL_SECONDS = 0.005


def clock_for(settings: ServiceSettings, service: str) -> Clock:
    """The machine's clock, or the one of the test that the settings name. Raises RuntimeError where time may not be
    moved."""
    if settings.test_clock_file is None:
        return SystemClock()
    with psycopg.connect(settings.database_url, connect_timeout=10) as conn:
        row = conn.execute("SHOW cluster_name").fetchone()
    if row is None or row[0] != CLUSTER_NAME:
        raise RuntimeError("UPLINE_TEST_CLOCK_FILE is set, but the database is not that of a stack for tests")
    return FileClock(settings.test_clock_file, service)


@dataclass(frozen=True, slots=True)
class _Reading:
    moment: datetime
    round_number: int


class FileClock:
    """The clock of one process of a stack for tests."""

    def __init__(self, file: Path, service: str) -> None:
        self._file = file
        self._report = _report_file(file, service)
        self._woken: dict[asyncio.Task[Any] | None, int] = {}
        """The round to which each job woke up."""
        self._worked: dict[asyncio.Task[Any] | None, int] = {}
        """The last round through which each job has worked."""
        self._watch: asyncio.Task[None] | None = None
        """The task that reads the file for all jobs."""
        _read(file)

    def now(self) -> datetime:
        """The present, UTC, aware."""
        return _read(self._file).moment

    async def sleep(self, seconds: float) -> None:
        """Lets so many seconds of the machine's time pass, or less of them if a new round is called in which the job
        works."""
        job = asyncio.current_task()
        began, end = self.now(), time.monotonic() + seconds
        while True:
            worked = self._worked[job] = self._woken.get(job, 0)
            _write(self._report, str(min(self._worked.values())))
            self._woken[job] = await self._next_round(worked, end)
            passed = (self.now() - began).total_seconds()
            if seconds <= EVERY_ROUND_SECONDS or not 0 <= passed < seconds or time.monotonic() >= end:
                return

    async def _next_round(self, worked: int, end: float) -> int:
        """The round after `worked` as soon as it is called, or `worked` itself when the time is up."""
        called = _read(self._file).round_number
        if called == worked and (left := end - time.monotonic()) > 0:
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._until_called_after(called))
            await asyncio.wait([self._watch], timeout=left)
            called = _read(self._file).round_number
        return called

    async def _until_called_after(self, round_number: int) -> None:
        while True:
            if _read(self._file).round_number != round_number:
                return
            await asyncio.sleep(POLL_SECONDS)


@dataclass(slots=True)
class ClockFile:
    """The file, in the hands of whoever plays the test."""

    file: Path
    moment: datetime
    _round_number: int = field(default=0)

    def __post_init__(self) -> None:
        self._tell()

    def move(self, moment: datetime) -> None:
        """Says that it is `moment` now, and calls a round."""
        self.moment = moment
        self.call_round()

    def call_round(self) -> None:
        """Asks every job to work once more."""
        self._round_number += 1
        self._tell()

    def worked(self, service: str) -> bool:
        """Whether every job of the service has worked since the round was called."""
        try:
            return int(_report_file(self.file, service).read_text()) >= self._round_number
        except FileNotFoundError:  # it is starting
            return False

    def _tell(self) -> None:
        _write(self.file, f"{self.moment.astimezone(UTC).isoformat()} {self._round_number}")


def _report_file(file: Path, service: str) -> Path:
    return file.with_name(f"{file.name}.{service}")


def _read(file: Path) -> _Reading:
    moment, round_number = file.read_text().split()
    return _Reading(datetime.fromisoformat(moment), int(round_number))


def _write(file: Path, text: str) -> None:
    # In one step: a reader sees the old text or the new one.
    temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
    temporary.write_text(text)
    temporary.replace(file)
