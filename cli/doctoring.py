"""Looks at everything the stack needs and says what to do where something is wrong."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from chassis.embedded import nats, postgres
from chassis.embedded.state import running_stack
from chassis.migrate import head_revision
from chassis.topology import BROKER_NAME
from cli.connection import Where, named
from cli.stack.errors import PortTaken
from cli.stack.health import health
from cli.stack.layout import DEFAULT_PORTS, SERVICES, External, refuse_taken

OLDEST_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
"""PostgreSQL keeps up to 2 GB of write-ahead log."""
BUILT_AFTER = 1_767_225_600
"""2026-01-01: a clock that says an earlier time is wrong."""
MAX_CLOCK_SKEW_SECONDS = 2.0
PACKAGES = ("grpcio", "protobuf", "protovalidate", "psycopg", "sqlalchemy", "nats-py", "alembic")
MONITOR_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    ok: bool
    found: str
    advice: str = ""


def examine(state: Path) -> list[Finding]:
    """Every check, in the order in which one would look: of the services that the environment names, else of the stack
    on `state` if one runs there. Changes nothing."""
    if addresses := named(Where(state)):
        deployment = _deployment(asdict(addresses), External.from_environment())
        checks: list[Callable[[], list[Finding]]] = [
            _python,
            _versions,
            _clock,
            lambda: _services(deployment),
            lambda: _broker(deployment),
            lambda: _database(deployment),
        ]
        return [finding for check in checks for finding in check()]
    stack = running_stack(state)
    checks = [
        _python,
        _versions,
        _binaries,
        lambda: _state(state),
        lambda: _ports(stack),
        _clock,
    ]
    if stack is not None:
        deployment = _embedded(stack, state)
        checks += [lambda: _services(deployment), lambda: _broker(deployment), lambda: _database(deployment)]
    return [finding for check in checks for finding in check()]


@dataclass(frozen=True, slots=True)
class Deployment:
    """The addresses of services and servers that run already."""

    services: dict[str, str]
    """The address, `host:port`, of each service."""
    logs: str
    """The place of a service's log, for people; `{}` stands for the service."""
    restart: str
    """How a service or server is started again, for people."""
    nats_monitor_url: str
    """The address of the broker's monitor; empty where nobody named it."""
    database_url: str
    """The database's URL, as its owner; empty where nobody named it."""


def _embedded(stack: dict[str, Any], state: Path) -> Deployment:
    """The stack that `upline up` runs."""
    database_url = ""
    if port := stack.get("postgres_port"):
        password = json.loads((state / "secrets.json").read_text())["database_password"]
        database_url = f"postgresql://upline:{password}@127.0.0.1:{port}/{postgres.DATABASE}"
    return Deployment(
        stack["services"],
        "logs/{}*.log in the state directory",
        "restart the stack",
        stack.get("nats_monitor_url", ""),
        database_url,
    )


def _deployment(services: dict[str, str], external: External) -> Deployment:
    """The deployment that the environment names, as in the container of the command line."""
    return Deployment(services, "the log of {}", "restart the broker", external.nats_monitor_url, external.database_url)


def _python() -> list[Finding]:
    found = (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return [
        Finding(
            "python",
            sys.version_info >= OLDEST_PYTHON,
            found,
            f"use Python {wanted} or newer: make setup PYTHON=python3.13",
        )
    ]


def _versions() -> list[Finding]:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    return [Finding("packages", not missing, ", ".join(found), f"{', '.join(missing)} not installed: run `make setup`")]


def _postgres() -> Path:
    return postgres.binaries() / "postgres"


def _binaries() -> list[Finding]:
    findings = []
    programs: list[tuple[str, Callable[[], Path]]] = [("postgresql", _postgres), ("nats-server", nats.binary)]
    for name, find in programs:
        try:
            answer = subprocess.run([str(find()), "--version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
            findings.append(Finding(name, True, answer.stdout.strip()))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            advice = "run `make setup`, or use servers of your own: UPLINE_DATABASE_URL and UPLINE_NATS_URL"
            findings.append(Finding(name, False, str(error), advice))
    return findings


def _state(path: Path) -> list[Finding]:
    path = path.resolve()
    there = next(each for each in (path, *path.parents) if each.exists())
    usable = os.access(there, os.W_OK | os.X_OK)
    kept = "exists" if path.exists() else "will be made at the first start"
    free = shutil.disk_usage(there).free
    return [
        Finding("state directory", usable, f"{path} {kept}", f"{there} cannot be written; choose another with --state"),
        Finding("disk", free > MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free at least 2 GiB"),
    ]


def _ports(stack: dict[str, Any] | None) -> list[Finding]:
    if stack is not None:
        addresses = ", ".join(f"{name} {address}" for name, address in stack["services"].items())
        return [Finding("ports", True, f"a stack runs here: {addresses}")]
    findings = []
    for name, port in DEFAULT_PORTS.items():
        try:
            refuse_taken("127.0.0.1", port, f"`upline up --{name}-port`")
            findings.append(Finding(f"port of {name}", True, f"{port} is free"))
        except PortTaken as error:
            findings.append(Finding(f"port of {name}", False, f"{port} is taken", str(error)))
    return findings


def _clock() -> list[Finding]:
    now = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now))
    return [Finding("clock", now > BUILT_AFTER, found, "set the machine's clock; windows, holds and ids depend on it")]


def _services(deployment: Deployment) -> list[Finding]:
    findings = []
    for name in SERVICES:
        answer = health(deployment.services[name])
        log = deployment.logs.format(name)
        findings.append(Finding(name, answer == "SERVING", answer, f"look at {log}"))
        if (broker := health(deployment.services[name], name=BROKER_NAME)) == "NOT_SERVING":
            advice = f"the broker does not answer, or does not store: look for `not ready` in {log}"
            findings.append(Finding(f"broker of {name}", False, broker, advice))
    return findings


def _broker(deployment: Deployment) -> list[Finding]:
    url = deployment.nats_monitor_url
    advice = "set `sync_interval: always` in the jetstream block of the NATS configuration: without it a power failure loses acknowledged clicks"
    if not url:
        return [
            Finding(
                "sync_interval",
                False,
                "unknown: nobody says where the broker's monitor is",
                "set UPLINE_NATS_MONITOR_URL",
            )
        ]
    try:
        with urllib.request.urlopen(f"{url}/varz", timeout=MONITOR_SECONDS) as answer:  # noqa: S310 - the stack's own address
            config = json.load(answer).get("jetstream", {}).get("config", {})
    except (urllib.error.URLError, OSError, ValueError) as error:
        return [Finding("sync_interval", False, f"the NATS monitor does not answer: {error}", deployment.restart)]
    always = bool(config.get("sync_always"))
    said = nats.ailment(url)
    return [
        Finding("sync_interval", always, "always" if always else "not always", advice),
        Finding(
            "streams",
            not said,
            said or "the broker has nothing to say against them",
            f"free disk space; then {deployment.restart}, unless the broker was started again by itself",
        ),
    ]


def _dead_letters(conn: psycopg.Connection[Any], service: str) -> Finding:
    row = conn.execute(f"SELECT count(*) FROM {service}.dead_letter WHERE park_time IS NOT NULL".encode()).fetchone()
    count = row[0] if row else 0
    return Finding(f"dead letters of {service}", not count, str(count or "none"), "upline dead-letters list")


def _database(deployment: Deployment) -> list[Finding]:
    if not deployment.database_url:
        found = "not looked at: UPLINE_DATABASE_URL does not name it; the services' readiness checks its tables"
        return [Finding("migrations", True, found)]
    findings = []
    try:
        with psycopg.connect(deployment.database_url, connect_timeout=5) as conn:
            for service in SERVICES:
                row = conn.execute(f"SELECT version_num FROM {service}.alembic_version".encode()).fetchone()
                found, wanted = row[0] if row else "nothing", head_revision(service)
                findings.append(
                    Finding(
                        f"tables of {service}",
                        found == wanted,
                        found,
                        f"the code needs {wanted}: run `upline migrate`, or start `upline up` again",
                    )
                )
                findings.append(_dead_letters(conn, service))
            row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            skew = abs(float(row[0]) - time.time()) if row else 0.0
            findings.append(
                Finding(
                    "database clock", skew < MAX_CLOCK_SKEW_SECONDS, f"{skew:.3f} s apart", "bring the clocks together"
                )
            )
    except psycopg.Error as error:
        advice = f"look at the database's log, or {deployment.restart}"
        findings.append(Finding("database", False, str(error).strip(), advice))
    return findings
