"""The state directory of an embedded stack.

It is locked while anything in it runs, its secrets are made once, and only its owner can read it.
"""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any

UNPRIVILEGED_UID = 65_534
"""The user `nobody`, under whom servers run where root starts the stack."""

LOCK_SECONDS = 5.0
"""The longest wait for the lock: the servers of a stack that was killed need a moment to notice and leave."""

FIRST_FREE_PORT = 10_000
"""Below it stand most ports that servers are known by."""
SYSTEMS_OWN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Linux says here which ports it gives to connections, and to servers that ask for any."""
FEWEST_PORTS = 100
"""Where the system leaves fewer ports than these below its own, as where it leaves none, its own are taken."""
PORT_TRIES = 1_000
"""The most ports that are tried: so many neighbours that are taken mean that something else is wrong."""


class StateLockedError(RuntimeError):
    """Another stack uses the directory."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a stack, made at its first start and kept."""

    secret: str
    database_password: str
    role_password: str
    nats_password: str


class StateDirectory:
    """A locked state directory. Servers inherit the lock, so it is free only when the last of them is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(self._lock, True)
        if not _lock_within(self._lock, LOCK_SECONDS):
            os.close(self._lock)
            raise StateLockedError(
                f"{self.path} is in use by another stack: one that is still starting can be used when it says that it"
                " is ready; else stop it, or choose another with --state"
            )

    @property
    def lock_fd(self) -> int:
        """The descriptor that servers inherit."""
        return self._lock

    def secrets(self) -> Secrets:
        """The stack's secrets."""
        file = self.path / "secrets.json"
        if file.exists():
            return Secrets(**json.loads(file.read_text()))
        made = Secrets(*(secrets.token_urlsafe(32) for _ in range(4)))
        _write_private(file, json.dumps(asdict(made)))
        return made

    def server_directory(self, name: str) -> Path:
        """A directory that belongs to the user the servers run under."""
        folder = self.path / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(folder, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        return folder

    def publish(self, stack: dict[str, Any]) -> None:
        """Publishes for clients where the running stack answers."""
        _write_private(self.path / "stack.json", json.dumps(stack, indent=2))

    def close(self) -> None:
        """Withdraws what was published and gives the lock back."""
        (self.path / "stack.json").unlink(missing_ok=True)
        os.close(self._lock)


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def running_stack(path: Path) -> dict[str, Any] | None:
    """The facts that a running stack published in `path`; None if none runs there."""
    file = path / "stack.json"
    if not file.exists():
        return None
    descriptor = os.open(path / "lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stack: dict[str, Any] = json.loads(file.read_text())
        return stack
    finally:
        os.close(descriptor)
    return None  # nobody holds the lock: the file was left behind


def free_port() -> int:
    """A port of the loopback address that is free now, and that the system gives to nobody who did not ask for it.

    A server listens some seconds later, and again after it was killed. Meanwhile any connection of any program could
    have got one of the system's own ports.
    """
    for port in islice(_ports(), PORT_TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RuntimeError(f"no port of 127.0.0.1 is free: {PORT_TRIES} were tried")


@cache
def _ports() -> Iterator[int]:
    """The ports below the system's own, round and round from any of them on; where there are few or none, 0, which
    stands for any of the system's."""
    try:
        end = int(SYSTEMS_OWN_PORTS.read_text().split()[0])
    except OSError:
        end = 0
    size = end - FIRST_FREE_PORT
    if size < FEWEST_PORTS:
        return repeat(0)
    start = secrets.randbelow(size)
    return (FIRST_FREE_PORT + (start + number) % size for number in count())


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
