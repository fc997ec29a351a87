"""Starts the stack in order, keeps it up, stops it in reverse order.

Every child asks the kernel to die with the thread that started it (prctl(2): "the parent" is a thread). So one thread
does all of the starting, also the starting again, and lives until the last child has stopped.
"""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from chassis.embedded.nats import Nats, stream_fault
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from chassis.file_clock import CLUSTER_NAME
from chassis.migrate import migrate, role_name
from cli.stack.broker_care import BrokerCare
from cli.stack.errors import StackFailed
from cli.stack.health import health
from cli.stack.layout import SCALED, SERVICES, Layout
from cli.stack.logs import LogFollower, ShowLine, rotate
from cli.stack.services import MAX_DEATHS, ServiceProcess, service_environment

WATCH_SECONDS = 0.2
SERVING_SECONDS = 90.0
"""The time that services have to become ready: enough for three interpreters on a small, busy machine."""
SERVER_RETRIES = 5

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
    ) -> None:
        """With `test_clock_file` the stack is one for tests: it goes by that clock (chassis/file_clock.py), on servers
        of its own only."""
        if test_clock_file and layout.external.database_url:
            raise ValueError("a stack for tests has a database of its own")
        self.layout = layout
        self._test_clock_file = test_clock_file
        self._state = state
        self._say = say
        self._secrets = state.secrets()
        self._postgres = (
            None
            if layout.external.database_url
            else Postgres(state, {"cluster_name": CLUSTER_NAME} if test_clock_file else {})
        )
        self._nats = None if layout.external.nats_url else Nats(state)
        self._broker_care = BrokerCare()
        self._processes: list[ServiceProcess] = []
        self._follower = LogFollower(show) if show else None
        self._up = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    def start(self, interrupted: threading.Event | None = None) -> None:
        """Returns when every service is SERVING, or at once when `interrupted` is set.

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

    def urls(self) -> dict[str, str]:
        """The URLs of the servers beneath, without passwords."""
        return {
            "postgresql": make_url(self._database_url()).render_as_string(hide_password=True),
            "nats": make_url(self._nats_url()).render_as_string(hide_password=True),
        }

    def servers(self) -> tuple[str, str]:
        """URLs of PostgreSQL, as its owner, and of NATS; both hold passwords."""
        return self._database_url(), self._nats_url()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure, StackFailed):
                raise self._failure
            raise StackFailed(str(self._failure)) from self._failure

    # What follows runs in the supervising thread.

    def _supervise(self) -> None:
        try:
            self._bring_up()
            self._state.publish(self.layout.published() | self._published_servers())
            self._up.set()
            while not self._stop.wait(WATCH_SECONDS):
                self._watch()
        except _StopRequested:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._bring_down()

    def _bring_up(self) -> None:
        if self._postgres:
            self._say("starting PostgreSQL")
            self._postgres.start()
        self._pause_point()
        if self._nats:
            self._say("starting NATS")
            self._nats.start()
        self._pause_point()
        for line in migrate(self._database_url(), list(SERVICES), self._role_password()):
            self._say(f"database of {line}")
        self._pause_point()
        self._start_services()
        self._await_serving()

    def _start_services(self) -> None:
        folder = self._state.path / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, service in self.layout.processes():
            log_file = folder / f"{name}.log"
            rotate(log_file)
            if self._follower:
                self._follower.add(name, log_file)
            keep_open = (self._state.lock_fd,)
            self._processes.append(ServiceProcess(name, service, log_file, self._environment(name, service), keep_open))
        if self._follower:
            self._follower.start()
        for process in self._processes:
            process.start()

    def _await_serving(self) -> None:
        self._say("waiting for the services")
        deadline = time.monotonic() + SERVING_SECONDS
        waiting = dict(self.layout.addresses())
        while waiting:
            self._pause_point()
            self._watch_services()
            waiting = {name: address for name, address in waiting.items() if health(address) != "SERVING"}
            if waiting and time.monotonic() > deadline:
                tails = "\n".join(self._log_tail(each) for each in self._processes if each.service in waiting)
                raise StackFailed(
                    f"{', '.join(waiting)} did not become ready in {SERVING_SECONDS:.0f} seconds;"
                    f" the end of the logs:\n{tails}"
                )
            self._stop.wait(0.05)

    def _pause_point(self) -> None:
        if self._stop.is_set():
            raise _StopRequested

    def _watch(self) -> None:
        if self._postgres and not self._postgres.running:
            self._restart_server("PostgreSQL", self._postgres)
        if self._nats:
            self._check_broker(self._nats)
            if not self._nats.running:
                self._restart_server("NATS", self._nats)
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

    def _restart_server(self, name: str, server: Postgres | Nats) -> None:
        """Starts it again on the same port. Helper processes of a killed one may need a moment to leave its files."""
        for attempt in range(1, SERVER_RETRIES + 1):
            self._say(f"{name} is gone; starting it again")
            try:
                server.start()
            except RuntimeError as error:
                if attempt == SERVER_RETRIES:
                    raise StackFailed(f"{name} cannot be started again: {error}") from error
                if self._stop.wait(float(attempt)):
                    raise _StopRequested from error
            else:
                self._say(f"{name} answers again")
                return

    def _watch_services(self) -> None:
        now = time.monotonic()
        for process in self._processes:
            if process.child is not None and not process.running:
                self._note_death(process, now)
            elif process.child is None and now >= process.next_start:
                process.start()

    def _note_death(self, process: ServiceProcess, now: float) -> None:
        code = process.child.process.returncode if process.child else None
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        pause = process.note_death(now)
        if process.deaths >= MAX_DEATHS:
            raise StackFailed(
                f"{process.name} {how}, the {process.deaths}th time in a row: giving up;"
                f" the end of its log:\n{self._log_tail(process)}"
            )
        self._say(f"{process.name} {how}; starting it again in {pause:g} s")

    def _log_tail(self, process: ServiceProcess, lines: int = 15) -> str:
        return "\n".join(process.log_file.read_text(errors="replace").splitlines()[-lines:])

    def _bring_down(self) -> None:
        self._say("stopping")
        alive = [process.child for process in self._processes if process.child is not None]
        for child in alive:
            if child.running:  # all at once, so that their draining overlaps
                child.process.terminate()
        for child in alive:
            child.stop()
        for server in (self._nats, self._postgres):
            if server:
                server.stop()
        if self._follower:
            self._follower.stop()

    def _database_url(self) -> str:
        if self._postgres:
            return self._postgres.url
        return self.layout.external.database_url

    def _nats_url(self) -> str:
        return self._nats.url if self._nats else self.layout.external.nats_url

    def _published_servers(self) -> dict[str, object]:
        """The facts that operators' commands look at; passwords stay in the secrets file."""
        return {
            "postgres_port": self._postgres.port if self._postgres else 0,
            "nats_port": self._nats.port if self._nats else 0,
            "nats_monitor_url": self._nats.monitor_url if self._nats else self.layout.external.nats_monitor_url,
        }

    def _role_password(self) -> str:
        return self.layout.external.role_password or self._secrets.role_password

    def _environment(self, name: str, service: str) -> dict[str, str]:
        url = make_url(self._database_url()).set(username=role_name(service), password=self._role_password())
        monitor = self._nats.monitor_url if self._nats else self.layout.external.nats_monitor_url
        settings = {
            "UPLINE_DATABASE_URL": url.render_as_string(hide_password=False),
            "UPLINE_NATS_URL": self._nats_url(),
            "UPLINE_NATS_MONITOR_URL": monitor,
            "UPLINE_SECRET": self.layout.external.secret or self._secrets.secret,
            "UPLINE_HOST": self.layout.host,
            "UPLINE_PORT": str(self.layout.ports[service]),
            "UPLINE_REUSE_PORT": str(service in SCALED and self.layout.workers > 1).lower(),
            "UPLINE_METRICS_PORT": str(self.layout.metrics_ports().get(name, 0)),
        }
        if self._test_clock_file:
            settings["UPLINE_TEST_CLOCK_FILE"] = str(self._test_clock_file)
        if service == "rewards" and self.layout.external.payout_webhook_url:
            settings |= {
                "UPLINE_PAYOUT_WEBHOOK_URL": self.layout.external.payout_webhook_url,
                "UPLINE_PAYOUT_WEBHOOK_SECRET": self.layout.external.payout_webhook_secret,
                "UPLINE_PAYOUT_WEBHOOK_METHODS": self.layout.external.payout_webhook_methods,
            }
        if service == "attribution":
            settings |= {
                "UPLINE_REDIRECT_PORT": str(self.layout.ports["redirect"]),
                "UPLINE_PUBLIC_URL": self.layout.redirect_url,
            }
        return service_environment(settings)


class _StopRequested(Exception):
    """Somebody asked to stop while the stack was still starting."""
