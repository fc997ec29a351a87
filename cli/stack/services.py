"""The service processes: started with their settings, watched, started again."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url

from chassis.embedded.child import Child
from chassis.migrate import role_name
from cli.stack.layout import SCALED, Layout
from cli.stack.servers import StackServers

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""The time after which a process was well: its earlier deaths no longer count."""
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
        """Starts the process. It dies with this one, and by SIGKILL: whatever it acknowledged is on disk."""
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


def service_settings(
    name: str, service: str, layout: Layout, servers: StackServers, test_clock_file: Path | None
) -> dict[str, str]:
    """The `UPLINE_*` variables of one process of a service."""
    url = make_url(servers.database_url).set(username=role_name(service), password=servers.role_password)
    settings = {
        "UPLINE_DATABASE_URL": url.render_as_string(hide_password=False),
        "UPLINE_NATS_URL": servers.nats_url,
        "UPLINE_NATS_MONITOR_URL": servers.nats_monitor_url,
        "UPLINE_SECRET": servers.secret,
        "UPLINE_HOST": layout.host,
        "UPLINE_PORT": str(layout.ports[service]),
        "UPLINE_REUSE_PORT": str(service in SCALED and layout.workers > 1).lower(),
        "UPLINE_METRICS_PORT": str(layout.metrics_ports().get(name, 0)),
    }
    if test_clock_file:
        settings["UPLINE_TEST_CLOCK_FILE"] = str(test_clock_file)
    if service == "rewards" and layout.external.payout_webhook_url:
        settings |= {
            "UPLINE_PAYOUT_WEBHOOK_URL": layout.external.payout_webhook_url,
            "UPLINE_PAYOUT_WEBHOOK_SECRET": layout.external.payout_webhook_secret,
            "UPLINE_PAYOUT_WEBHOOK_METHODS": layout.external.payout_webhook_methods,
        }
    if service == "attribution":
        settings |= {
            "UPLINE_REDIRECT_PORT": str(layout.ports["redirect"]),
            "UPLINE_PUBLIC_URL": layout.redirect_url,
        }
    return settings
