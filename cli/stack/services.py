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
from cli.stack.layout import REDIRECT, SCALED, Layout
from cli.stack.servers import StackServers

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
"""Pauses between starts double up to this: what kills a process each time may be mended at any moment, and a start a
minute costs the others on the machine little."""
STEADY_SECONDS = 60.0
"""The time after which a process was well: its earlier deaths no longer count. A start takes less, also on a busy
machine."""
MAX_DOUBLINGS = 20
"""More than lead to the longest pause; a number of deaths has no end, but powers of two have."""
MODULES = {REDIRECT: "services.attribution.redirect_main"}
"""The modules of processes that are not called like their service."""
TAIL_BYTES = 16_384
"""The end of a log that is read: a log grows by each start."""
FAILING_DEATHS = 4
"""After so many deaths in a row a process is said to keep dying, with the end of its log: one or two have reasons that
pass, such as a server that was killed with it."""


@dataclass(slots=True)
class ServiceProcess:
    """One service process and how it has fared."""

    name: str
    kind: str
    log_file: Path
    environment: dict[str, str]
    keep_open: tuple[int, ...]
    child: Child | None = None
    deaths: int = 0
    last_death: str = ""
    """How it died last, for people."""
    began: float = 0.0
    next_start: float = field(default=0.0)

    def start(self) -> None:
        """Starts the process. It dies with this one, and by SIGKILL: whatever it acknowledged is on disk."""
        self.began = time.monotonic()
        self.child = Child(
            self.command,
            self.log_file,
            death_signal=signal.SIGKILL,
            stop_signal=signal.SIGTERM,
            drop_root=False,
            environment=self.environment,
            keep_open=self.keep_open,
        )

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        return [sys.executable, "-m", self.module]

    @property
    def module(self) -> str:
        """The module that it runs."""
        return MODULES.get(self.kind, f"services.{self.kind}")

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.child is not None and self.child.running

    @property
    def keeps_dying(self) -> bool:
        """Whether it died so often that it is said to keep dying, and was not well for long enough since."""
        return self.deaths >= FAILING_DEATHS

    def note_death(self, now: float, how: str) -> float:
        """Counts a death and returns after how many seconds to start again."""
        self.deaths += 1
        self.last_death = how
        doublings = min(self.deaths - 1, MAX_DOUBLINGS)
        pause = min(FIRST_PAUSE_SECONDS * 2.0**doublings, LONGEST_PAUSE_SECONDS)
        self.next_start = now + pause
        self.child = None
        return pause

    def is_well_again(self, now: float) -> bool:
        """Whether it died and has run for long enough since; its deaths no longer count then."""
        if not self.deaths or not self.running or now - self.began <= STEADY_SECONDS:
            return False
        self.deaths = 0
        return True

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log, for people."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - TAIL_BYTES))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError as error:
            return f"(its log cannot be read: {error})"


def service_environment(settings: dict[str, str]) -> dict[str, str]:
    """The caller's environment with its `UPLINE_*` variables replaced by `settings`, but for logging, retention and the
    addresses that webhooks may call."""
    kept = {
        "UPLINE_LOG_LEVEL",
        "UPLINE_LOG_JSON",
        "UPLINE_CLICK_RETENTION_DAYS",
        "UPLINE_NOTIFY_RETENTION_DAYS",
        "UPLINE_DELIVERY_RETENTION_DAYS",
        "UPLINE_WEBHOOK_ALLOW_LOOPBACK",
    }
    inherited = {name: text for name, text in os.environ.items() if name in kept or not name.startswith("UPLINE_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | settings


def service_settings(
    name: str, kind: str, layout: Layout, servers: StackServers, test_clock_file: Path | None
) -> dict[str, str]:
    """The `UPLINE_*` variables of one process."""
    service = "attribution" if kind == REDIRECT else kind
    url = make_url(servers.database_url).set(username=role_name(service), password=servers.role_password)
    settings = {
        "UPLINE_DATABASE_URL": url.render_as_string(hide_password=False),
        "UPLINE_NATS_URL": servers.nats_url,
        "UPLINE_NATS_MONITOR_URL": servers.nats_monitor_url,
        "UPLINE_SECRET": servers.secret,
        "UPLINE_HOST": layout.host,
        "UPLINE_REUSE_PORT": str(kind in SCALED and layout.workers > 1).lower(),
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
        settings["UPLINE_PUBLIC_URL"] = layout.redirect_url
    port = "UPLINE_REDIRECT_PORT" if kind == REDIRECT else "UPLINE_PORT"
    return settings | {port: str(layout.ports[kind])}
