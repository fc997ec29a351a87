"""A whole stack in which every process, every connection, both disks and all clocks can be spoilt.

It is the stack of `upline up`, with its supervisor, in the process that spoils it. Between a service and its servers,
and between callers and services, lie links (tests/faults/proxy.py). Each service goes by a clock of its own
(tests/faults/skewed.py). What needs root (small disks) or libfaketime (the database's clock) is left out where it is
lacking.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psycopg
from sqlalchemy import make_url

from chassis.embedded.postgres import Postgres
from chassis.embedded.state import UNPRIVILEGED_UID, StateDirectory, free_port
from cli.client import Addresses
from cli.stack.health import health
from cli.stack.layout import DEFAULT_PORTS, REDIRECT, SERVICES, ExternalServers, Layout
from cli.stack.services import ServiceProcess, service_environment, service_settings
from cli.stack.supervisor import Stack
from tests.faults.proxy import Link
from tests.faults.skewed import SKEW_FILE, write_skew
from tests.flow import Flow

POSTGRESQL, NATS = "postgresql", "nats"
SERVERS = (POSTGRESQL, NATS)
CALLERS = "callers"
POLL_SECONDS = 0.05
WELL_SECONDS = 90.0
"""How long a stack may take to be whole again once nothing is spoilt any more: a connection on which nothing comes back
is given up after less, and so is a disk that was full."""
DISK_MIB = {POSTGRESQL: 2048, NATS: 1024}
"""The size of the small disks when they are not full."""
ROOM_KIB = 64
"""The space that is left on a disk that is full: next to nothing."""
LIBFAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


@dataclass(slots=True)
class SkewableProcess(ServiceProcess):
    """A service process that goes by a clock of its own."""

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        return [sys.executable, "-m", "tests.faults.skewed", self.module]


class SpoilableStack(Stack):
    """A stack whose services reach their servers through links."""

    links: dict[tuple[str, str], Link]
    """By who connects and to what; they must listen before the stack is started."""

    def _process(self, name: str, kind: str, log_file: Path) -> ServiceProcess:
        settings = service_settings(name, kind, self.layout, self.servers, None)
        for variable, server in (("UPLINE_DATABASE_URL", POSTGRESQL), ("UPLINE_NATS_URL", NATS)):
            if variable in settings:
                through = make_url(settings[variable]).set(port=self.links[name, server].port)
                settings[variable] = through.render_as_string(hide_password=False)
        skew_file = skew_file_of(self._state.path, name)
        write_skew(skew_file, 0.0)
        environment = service_environment(settings) | {SKEW_FILE: str(skew_file), "LD_PRELOAD": ""}
        return SkewableProcess(name, kind, log_file, environment, (self._state.lock_fd,))


def skew_file_of(state: Path, name: str) -> Path:
    """Where it stands by how much a process' clock is off."""
    return state / f"skew.{name}"


@dataclass(frozen=True)
class Able:
    """Whether this machine and user can spoil more than anybody can."""

    disks: bool
    """Small disks: they are mounted, which is for root."""
    database_clock: str
    """The library that tells the database another time; empty where it is not installed."""

    @classmethod
    def here(cls) -> "Able":
        """Looks at this machine and user."""
        library = next((str(each) for each in Path("/").glob(LIBFAKETIME[1:])), "")
        return cls(os.geteuid() == 0 and shutil.which("mount") is not None, library)


@dataclass
class Site:
    """A running stack and everything that can be spoilt of it."""

    state: Path
    stack: SpoilableStack
    links: dict[tuple[str, str], Link]
    able: Able
    skews: dict[str, float] = field(default_factory=dict)
    """By how many seconds each clock is off: of processes, and of the database."""

    @property
    def processes(self) -> list[str]:
        """The names of the service processes."""
        return [name for name, _ in self.stack.layout.processes()]

    @property
    def addresses(self) -> Addresses:
        """Where callers reach the services: through links."""
        return Addresses(**{name: f"127.0.0.1:{self.links[CALLERS, name].port}" for name in SERVICES})

    @property
    def direct_addresses(self) -> Addresses:
        """Where the services themselves answer, for whoever checks them."""
        return Addresses(**self.stack.layout.addresses())

    @property
    def redirect_url(self) -> str:
        """Where visitors reach the redirect."""
        return f"http://127.0.0.1:{self.links[CALLERS, REDIRECT].port}"

    @property
    def flow(self) -> Flow:
        """How far events have flowed, seen past the links."""
        return Flow(self.stack.servers.database_url, self.stack.servers.nats_url)

    def links_of(self, target: str) -> list[Link]:
        """The links of a target: `rewards>nats`, `callers>rewards`, or all to a server."""
        near, _, far = target.rpartition(">")
        return [link for (one, other), link in self.links.items() if other == far and (not near or one == near)]

    def pids(self, name: str) -> list[int]:
        """The processes of a service or server: the one that is watched first, then those that it started."""
        if name in SERVERS:
            server = self.stack.servers.postgres if name == POSTGRESQL else self.stack.servers.nats
            assert server is not None
            first = server.pid if server.running else 0
        else:
            child = next(each.child for each in self.stack.processes if each.name == name)
            first = child.process.pid if child is not None and child.running else 0
        return [first, *_descendants(first)] if first else []

    def signal(self, name: str, number: signal.Signals, *, all_of_it: bool) -> None:
        """Sends a signal to a service or server, and to what it started too if it is for all of it."""
        for pid in self.pids(name)[: None if all_of_it else 1]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def skew(self, name: str, seconds: float) -> None:
        """Moves the clock of a service process or of the database."""
        self.skews[name] = seconds
        if name == POSTGRESQL:
            write_database_skew(self.state, seconds)
        else:
            write_skew(skew_file_of(self.state, name), seconds)

    def fill(self, server: str) -> None:
        """Leaves next to nothing free on a server's disk: it is as large as what stands on it."""
        disk = self.state / _FOLDERS[server]
        used_kib = -(-shutil.disk_usage(disk).used // 1024)
        _run("mount", "-o", f"remount,size={used_kib + ROOM_KIB}k", str(disk))

    def empty(self, server: str) -> None:
        """Makes room on it again."""
        _run("mount", "-o", f"remount,size={DISK_MIB[server]}m", str(self.state / _FOLDERS[server]))

    def forgive(self) -> None:
        """Lets no earlier death lengthen the pause before a process is started again: they are of healthy processes."""
        for each in self.stack.processes:
            each.deaths = 0

    async def well(self) -> str:
        """Returns when both servers and all services answer, with nothing or with what is not well in time."""
        deadline = asyncio.get_running_loop().time() + WELL_SECONDS
        while (ailment := await asyncio.to_thread(self._ailment)) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        return ailment

    def _ailment(self) -> str:
        for name in [*SERVERS, *self.processes]:
            if not self.pids(name):
                return f"{name} does not run"
        try:
            psycopg.connect(self.stack.servers.database_url, connect_timeout=2).close()
        except psycopg.Error as error:
            return f"{POSTGRESQL}: {error}"
        for name, address in self.stack.layout.addresses().items():
            if (said := health(address)) != "SERVING":
                return f"{name} says {said}"
        try:
            urlopen(f"{self.stack.layout.redirect_url}/healthz", timeout=2).close()
        except OSError as error:
            return f"{REDIRECT}: {error}"
        return ""


_FOLDERS = {POSTGRESQL: "postgres", NATS: "nats"}


@asynccontextmanager
async def site(state: Path, workers: int = 1, able: Able | None = None) -> AsyncIterator[Site]:
    """A stack over a state directory of its own, ready."""
    able = Able.here() if able is None else able
    directory = StateDirectory(state)
    said = (state / "supervisor.log").open("a", buffering=1)
    layout = Layout(ports=dict.fromkeys(DEFAULT_PORTS, 0), workers=workers, external=ExternalServers()).resolve()
    stack = SpoilableStack(directory, layout, lambda line: print(line, file=said))
    postgres, nats = stack.servers.postgres, stack.servers.nats
    assert postgres is not None
    assert nats is not None
    postgres.port, nats.port = free_port(), free_port()
    ports = {POSTGRESQL: postgres.port, NATS: nats.port}
    links = {
        (near, far): Link(f"{near}>{far}", port) for near, _ in layout.processes() for far, port in ports.items()
    } | {(CALLERS, kind): Link(f"{CALLERS}>{kind}", layout.ports[kind]) for kind in layout.kinds}
    stack.links = links
    for each in links.values():
        await each.start()
    with ExitStack() as opened:
        opened.callback(said.close)
        opened.callback(directory.close)
        if able.disks:
            await asyncio.to_thread(_make_cluster, postgres)
            for server, folder in _FOLDERS.items():
                opened.enter_context(_small_disk(directory.server_directory(folder), DISK_MIB[server]))
        if able.database_clock:
            opened.enter_context(_database_clock(state, able.database_clock))
        await asyncio.to_thread(stack.start)
        try:
            yield Site(state, stack, links, able)
        finally:
            await asyncio.to_thread(stack.stop)
            for each in links.values():
                await each.stop()


def _make_cluster(postgres: Postgres) -> None:
    """Makes the database where it belongs, so that its folder can be put on a disk of its own."""
    postgres.start()
    postgres.stop()


@contextmanager
def _small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """Puts a folder, with what stands in it, on a disk of its own."""
    made = folder.with_name(f"{folder.name}.made")
    folder.rename(made)
    folder.mkdir(mode=0o700)
    owner = UNPRIVILEGED_UID if os.geteuid() == 0 else os.geteuid()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=700,uid={owner},gid={owner}", "tmpfs", str(folder))
    try:
        _run("cp", "-a", f"{made}/.", str(folder))
        shutil.rmtree(made)
        yield
    finally:
        _run("umount", str(folder))


@contextmanager
def _database_clock(state: Path, library: str) -> Iterator[None]:
    """Has the database go by a clock that can be moved. Servers inherit this environment, and a broker in Go takes no
    notice of it; services are given another one."""
    write_database_skew(state, 0.0)
    changes = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(_database_skew_file(state)),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    os.environ.update(changes)
    try:
        yield
    finally:
        for each in changes:
            del os.environ[each]


def _database_skew_file(state: Path) -> Path:
    return state / "postgres-skew"


def write_database_skew(state: Path, seconds: float) -> None:
    """Moves the database's clock."""
    file = _database_skew_file(state)
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(f"{seconds:+f}s\n")
    fresh.chmod(0o644)
    fresh.replace(file)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _run(*command: str) -> None:
    subprocess.run(command, check=True, env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
