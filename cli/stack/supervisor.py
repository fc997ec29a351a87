"""Starts the stack in order, keeps it up, stops it in reverse order.

Every child asks the kernel to die with the thread that started it (prctl(2): "the parent" is a thread). So one thread
does all of the starting, also the starting again, and lives until the last child has stopped.
"""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chassis.embedded.nats import Nats, stream_fault
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from chassis.migrate import migrate
from cli.stack.broker_care import BrokerCare
from cli.stack.errors import StackFailed
from cli.stack.health import health, redirect_health
from cli.stack.layout import REDIRECT, SERVICES, Layout
from cli.stack.logs import LogFollower, ShowLine, rotate_log
from cli.stack.servers import StackServers
from cli.stack.services import (
    FAILING_DEATHS,
    LONGEST_PAUSE_SECONDS,
    MAX_DOUBLINGS,
    ServiceProcess,
    service_environment,
    service_settings,
)

WATCH_SECONDS = 0.2
SERVING_SECONDS = 90.0
"""The time that services have to become ready: enough for three interpreters on a small, busy machine."""
SERVER_PAUSE_SECONDS = 1.0
"""The pause before a server that could not be started is tried again, the first time: helper processes of a killed one
may need a moment to leave its files."""

SayLine = Callable[[str], None]


class Stack:
    """PostgreSQL, NATS and the services, over one state directory."""

    def __init__(
        self,
        state: StateDirectory,
        layout: Layout,
        say: SayLine,
        show: ShowLine | None = None,
        test_clock_file: Path | None = None,
        *,
        needs_all: bool = True,
    ) -> None:
        """Without `needs_all` the stack is up as soon as some services answer, and the others are started again and
        again beside them; with it, it starts whole or not at all. Once it is up, no service takes it down.

        With `test_clock_file` the stack is one for tests: it goes by that clock (chassis/file_clock.py), on servers
        of its own only."""
        if test_clock_file and layout.external.database_url:
            raise ValueError("a stack for tests has a database of its own")
        self.layout = layout
        self._test_clock_file = test_clock_file
        self._needs_all = needs_all
        self._state = state
        self._say = say
        self.servers = StackServers(state, layout.external, for_tests=test_clock_file is not None)
        self._broker_care = BrokerCare()
        self.processes: list[ServiceProcess] = []
        self._failed_starts: dict[str, tuple[int, float]] = {}
        """How often each server could not be started again, and when it is tried next."""
        self._follower = LogFollower(show) if show else None
        self._up = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    def start(self, interrupted: threading.Event | None = None) -> None:
        """Returns when every service is SERVING (or, without `needs_all`, all but those that do not come up), or at
        once when `interrupted` is set.

        Raises StackFailed, with everything stopped again.
        """
        self._thread.start()
        try:
            while not self._up.wait(WATCH_SECONDS):
                if not self._thread.is_alive() or (interrupted is not None and interrupted.is_set()):
                    break
        except BaseException:
            self.stop()
            raise
        self._raise_failure()

    def wait(self, interrupted: threading.Event) -> None:
        """Returns when `interrupted` is set. Raises StackFailed if the stack could not be kept up."""
        while not interrupted.wait(WATCH_SECONDS) and self._thread.is_alive():
            pass
        self._raise_failure()

    def stop(self) -> None:
        """Stops services, then NATS, then PostgreSQL; returns when all are gone."""
        self._stop.set()
        self._thread.join()

    def failing(self) -> dict[str, str]:
        """The processes that keep dying, each with how it died last, how often in a row, and the end of its log."""
        return {
            each.name: f"{each.last_death} ({each.deaths} deaths in a row): {each.log_tail(1).strip()}"
            for each in self.processes
            if each.keeps_dying
        }

    def _raise_failure(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure, StackFailed):
                raise self._failure
            raise StackFailed(str(self._failure)) from self._failure

    # What follows runs in the supervising thread.

    def _supervise(self) -> None:
        try:
            self._bring_up()
            self._publish()
            self._up.set()
            while not self._stop.wait(WATCH_SECONDS):
                self._watch()
        except _StopRequested:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._bring_down()

    def _publish(self) -> None:
        self._state.publish(self.layout.published() | self.servers.published() | {"failing": self.failing()})

    def _publish_change(self) -> None:
        """Publishes anew, where the stack is up: until then nobody is to find it. A full disk must not end it."""
        if not self._up.is_set():
            return
        try:
            self._publish()
        except OSError as error:
            self._say(f"what runs cannot be written down for other commands: {error}")

    def _bring_up(self) -> None:
        if self.servers.postgres:
            self._say("starting PostgreSQL")
            self.servers.postgres.start()
        self._pause_point()
        if self.servers.nats:
            self._say("starting NATS")
            self.servers.nats.start()
        self._pause_point()
        for line in migrate(self.servers.database_url, list(SERVICES), self.servers.role_password):
            self._say(f"database of {line}")
        self._pause_point()
        self._start_services()
        self._await_serving()

    def _start_services(self) -> None:
        folder = self._state.path / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, kind in self.layout.processes():
            log_file = folder / f"{name}.log"
            rotate_log(log_file)
            if self._follower:
                self._follower.add(name, log_file)
            self.processes.append(self._process(name, kind, log_file))
        if self._follower:
            self._follower.start()
        for process in self.processes:
            self._start(process, time.monotonic())

    def _process(self, name: str, kind: str, log_file: Path) -> ServiceProcess:
        """One process, not started yet."""
        settings = service_settings(name, kind, self.layout, self.servers, self._test_clock_file)
        return ServiceProcess(name, kind, log_file, service_environment(settings), (self._state.lock_fd,))

    def _start(self, process: ServiceProcess, now: float) -> None:
        """Starts a process. One that cannot be started (no memory, no space for its log) died, like any other."""
        try:
            process.start()
        except OSError as error:
            self._note_death(process, now, f"cannot be started ({error})")

    def _await_serving(self) -> None:
        self._say("waiting for the services")
        deadline = time.monotonic() + SERVING_SECONDS
        waiting = list(self.layout.kinds)
        while waiting:
            self._pause_point()
            self._watch_services()
            waiting = [kind for kind in waiting if not self._serves(kind)]
            late = [name for name in waiting if self._keeps_dying(name) or time.monotonic() > deadline]
            if late and (self._needs_all or len(late) == len(self.layout.kinds)):
                tails = "\n".join(self._report(each) for each in self.processes if each.kind in late)
                raise StackFailed(f"giving up, as {', '.join(late)} cannot be started:\n{tails}")
            if late and len(late) == len(waiting):
                self._say(f"{', '.join(late)} did not become ready; the other services answer")
                return
            self._stop.wait(0.05)

    def _serves(self, kind: str) -> bool:
        if kind == REDIRECT:
            return redirect_health(self.layout.redirect_url) == "SERVING"
        return health(self.layout.addresses()[kind]) == "SERVING"

    def _keeps_dying(self, kind: str) -> bool:
        return all(each.keeps_dying for each in self.processes if each.kind == kind)

    def _report(self, process: ServiceProcess) -> str:
        how = process.last_death or f"did not become ready in {SERVING_SECONDS:.0f} seconds"
        return f"{process.name} {how}; the end of its log:\n{process.log_tail()}"

    def _pause_point(self) -> None:
        if self._stop.is_set():
            raise _StopRequested

    def _watch(self) -> None:
        if self.servers.postgres and not self.servers.postgres.running:
            self._restart_server("PostgreSQL", self.servers.postgres)
        if self.servers.nats:
            self._check_broker(self.servers.nats)
            if not self.servers.nats.running and self._restart_server("NATS", self.servers.nats):
                self._broker_care.note_start()
        self._watch_services()

    def _check_broker(self, broker: Nats) -> None:
        """Stops a broker that refuses to store although there is space, as after its disk was full; it is started again
        then."""
        now = time.monotonic()
        if not broker.running or not self._broker_care.begin_look(now):
            return
        said = stream_fault(broker.monitor_url)
        if self._broker_care.needs_restart(now, said, shutil.disk_usage(broker.store).free):
            self._say(f"NATS does not store, though there is space ({said}); stopping it")
            broker.stop()

    def _restart_server(self, name: str, server: Postgres | Nats) -> bool:
        """Starts a server again on the same port; says whether it answers. One that does not come up, as on a full
        disk, is tried again after growing pauses, and takes nothing with it: it comes back by itself once it can."""
        failures, not_before = self._failed_starts.get(name, (0, 0.0))
        if time.monotonic() < not_before:
            return False
        self._say(f"{name} is gone; starting it again")
        try:
            server.start()
        except Exception as error:
            pause = min(SERVER_PAUSE_SECONDS * 2.0 ** min(failures, MAX_DOUBLINGS), LONGEST_PAUSE_SECONDS)
            self._failed_starts[name] = (failures + 1, time.monotonic() + pause)
            self._say(f"{name} cannot be started again, the next try is in {pause:g} s: {error}")
            return False
        self._failed_starts.pop(name, None)
        self._say(f"{name} answers again")
        return True

    def _watch_services(self) -> None:
        now = time.monotonic()
        for process in self.processes:
            if process.child is not None and not process.running:
                code = process.child.process.returncode
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                self._note_death(process, now, how)
            elif process.child is None and now >= process.next_start:
                self._start(process, now)
            elif process.is_well_again(now):
                self._say(f"{process.name} is well again")
                self._publish_change()

    def _note_death(self, process: ServiceProcess, now: float, how: str) -> None:
        """Has a process started again after a pause. However often it dies, the servers and the other services go
        on."""
        pause = process.note_death(now, how)
        if not process.keeps_dying:
            self._say(f"{process.name} {how}; starting it again in {pause:g} s")
            return
        self._say(
            f"{process.name} {how} ({process.deaths} deaths in a row); the others go on, and it is started again in"
            f" {pause:g} s"
        )
        if process.deaths == FAILING_DEATHS:
            self._say(f"the end of the log of {process.name}:\n{process.log_tail()}")
        self._publish_change()

    def _bring_down(self) -> None:
        self._say("stopping")
        alive = [process.child for process in self.processes if process.child is not None]
        for child in alive:
            if child.running:  # every child is told at once, so that their draining overlaps
                child.process.terminate()
        for child in alive:
            child.stop()
        for server in (self.servers.nats, self.servers.postgres):
            if server:
                server.stop()
        if self._follower:
            self._follower.stop()


class _StopRequested(Exception):
    """Somebody asked to stop while the stack was still starting."""
