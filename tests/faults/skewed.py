"""A service as a process of its own whose clock is off by the seconds that a file says: `python -m tests.faults.skewed
MODULE`. Unlike the clock of a scenario it runs, and anybody may move it at any moment."""

import os
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chassis import process
from chassis.clock import SystemClock

SKEW_FILE = "UPLINE_FAULTS_SKEW_FILE"


class SkewedClock(SystemClock):
    """The machine's clock and so many seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        read_skew(file)

    def now(self) -> datetime:
        """The present as this process believes it, UTC, aware."""
        return datetime.now(UTC) + timedelta(seconds=read_skew(self._file))


def read_skew(file: Path) -> float:
    """The seconds in the file."""
    return float(file.read_text())


def write_skew(file: Path, seconds: float) -> None:
    """Moves the clock. In one step: a reader sees the old text or the new one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(str(seconds))
    fresh.replace(file)


if __name__ == "__main__":
    clock = SkewedClock(Path(os.environ[SKEW_FILE]))
    process.clock_for = lambda _settings, _service: clock
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
