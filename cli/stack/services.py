"""The service processes: started with their settings, watched, started again."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from chassis.embedded.child import Child

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A process that lived this long was well: its earlier deaths no longer count."""
MAX_DEATHS = 4


@dataclass(slots=True)
class ServiceProcess:
    """One service process and how it has fared."""

    name: str
    service: str
    log_file: Path
    environment: dict[str, str]
    keep_open: tuple[int, ...]
    child: Child | None = None
    deaths: int = 0
    began: float = 0.0
    next_start: float = field(default=0.0)

    def start(self) -> None:
        """Starts it. It dies with this process, and by SIGKILL: whatever it acknowledged is on disk."""
        self.began = time.monotonic()
        self.child = Child(
            [sys.executable, "-m", f"services.{self.service}"],
            self.log_file,
            death_signal=signal.SIGKILL,
            stop_signal=signal.SIGTERM,
            drop_root=False,
            environment=self.environment,
            keep_open=self.keep_open,
        )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.child is not None and self.child.running

    def note_death(self, now: float) -> float:
        """Counts a death and returns after how many seconds to start again."""
        self.deaths = 1 if now - self.began > STEADY_SECONDS else self.deaths + 1
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self.deaths - 1), LONGEST_PAUSE_SECONDS)
        self.next_start = now + pause
        self.child = None
        return pause


def service_environment(settings: dict[str, str]) -> dict[str, str]:
    """The caller's environment with its `UPLINE_*` variables replaced by `settings`, but for logging and retention."""
    kept = {"UPLINE_LOG_LEVEL", "UPLINE_LOG_JSON", "UPLINE_CLICK_RETENTION_DAYS", "UPLINE_NOTIFY_RETENTION_DAYS"}
    inherited = {name: text for name, text in os.environ.items() if name in kept or not name.startswith("UPLINE_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | settings
