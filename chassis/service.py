"""The composition root of a service: what all have in common, and the one lifecycle of their processes.

1. `start` opens the database and the connection to the broker, composes the service, and begins to answer.
2. `run` does the work of the process until it is cancelled.
3. `leave` lets nobody connect any more, and sends callers away who would stay.
4. `stop` lets calls in flight end, and closes whatever was opened, the last first.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from chassis import telemetry
from chassis.clock import Clock
from chassis.consumer import Consumer, Handle
from chassis.database import Database, Work
from chassis.dead_letters import DeadLetters
from chassis.loop_lag import watch_loop
from chassis.measuring import Measure, dead_letters, measure
from chassis.migrate import assert_migrated, head_revision
from chassis.pages import Pager
from chassis.progress import Progress
from chassis.readiness import Probe
from chassis.secrets import derive_key
from chassis.server import Server
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.tasks import run_all
from chassis.topology import StreamSpec

Settings = TypeVar("Settings", bound=ServiceSettings)


class Service(ABC, Generic[Settings]):
    """One process of a service; any number of them may run.

    A composition root says in `compose` what its service is made of.
    """

    name: ClassVar[str]
    """The name of the process in logs, in metrics and on the servers."""
    schema: ClassVar[str]
    """The schema of the database that it works on."""
    works: ClassVar[tuple[Work, ...]] = tuple(Work)
    """The classes of work that it does; it has connections for these."""
    streams: ClassVar[tuple[StreamSpec, ...]]
    """The streams that it publishes on or reads; they are made where they are missing."""
    tried_streams: ClassVar[tuple[StreamSpec, ...]] = ()
    """The streams of which readiness tries whether they store what is published."""

    databases: Mapping[Work, Database]
    """The connections of each class of work."""
    stream: Stream
    server: Server
    pager: Pager

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.progress = Progress()
        """The progress of the consumer of this process."""
        self._work: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._measures: list[Measure] = []
        self._farewells: list[Callable[[], None]] = []
        self._opened = AsyncExitStack()

    @abstractmethod
    async def compose(self) -> None:
        """Puts the service together, and says what to serve, to do, to send away and to close."""

    def on_run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Makes `work` a part of `run`."""
        self._work.append(work)

    def consume(self, spec: StreamSpec, durable: str, handle: Handle, fetch_messages: int) -> None:
        """Makes reading a stream a part of `run`; health tells whether what waits there gets done."""
        letters = DeadLetters(self.databases[Work.CONSUMING])
        consumer = Consumer(self.stream, spec, durable, handle, letters, fetch_messages, self.progress)
        self.on_run(consumer.run)
        self.on_measure(dead_letters(self.name))
        self.server.watch(Probe("consuming", consumer.check_progress))

    def on_measure(self, measured: Measure) -> None:
        """Makes `measured` a part of what is read from the database now and then, for metrics."""
        self._measures.append(measured)

    def on_leave(self, farewell: Callable[[], None]) -> None:
        """Makes `farewell` a part of `leave`."""
        self._farewells.append(farewell)

    def on_stop(self, close: Callable[[], Awaitable[None]]) -> None:
        """Makes `close` a part of `stop`, before whatever was opened earlier is closed."""
        self._opened.push_async_callback(close)

    @property
    def database(self) -> Database:
        """The connections of calls."""
        return self.databases[Work.CALLS]

    async def start(self) -> None:
        """Looks for the broker, composes the service and begins to answer."""
        telemetry.configure(self.settings, self.name, head_revision(self.schema))
        self.databases = {
            work: Database(self.settings.database_url, self.schema, work, self.name) for work in self.works
        }
        for work, each in self.databases.items():
            self.on_stop(each.close)
            telemetry.CONNECTIONS_IN_USE.labels(self.name, work).set_function(each.in_use)
            telemetry.CONNECTIONS_WAITING.labels(self.name, work).set_function(partial(getattr, each, "waiting"))
            telemetry.CONNECTIONS_LIMIT.labels(self.name, work).set(each.limit)
        self.stream = await Stream.open(
            self.settings.nats_url, f"upline-{self.name}", self.settings.nats_monitor_url, self.streams
        )
        self.on_stop(self.stream.close)
        self.pager = Pager(derive_key(self.settings.secret, "page-token"))
        probing = self.databases[Work.PROBES]
        self.server = Server(
            self.settings,
            [
                Probe("database", probing.ready),
                Probe("migrations", partial(assert_migrated, probing, self.schema)),
            ],
            Probe("broker", partial(self.stream.ready, self.tried_streams)),
        )
        await self.compose()
        if self._measures:
            self.on_run(partial(measure, self.databases[Work.JOBS], self._measures))
        await self.server.start()
        self.on_stop(self.server.stop)

    async def run(self) -> None:
        """Answers, and works, until cancelled; raises if it cannot go on."""
        await run_all(watch_loop(), self.server.run(), *(work() for work in self._work))

    async def leave(self) -> None:
        """Takes no more connections, and sends callers away who would stay; all others are served as ever."""
        await self.server.leave()
        for farewell in self._farewells:
            farewell()

    async def stop(self) -> None:
        """Lets calls in flight end, and closes whatever was opened, the last first, also where one of them fails to
        close."""
        await self._opened.aclose()
