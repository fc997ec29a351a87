"""The notify service: everyone who earned hears of it."""

from datetime import timedelta
from functools import partial

from upline.notify.v1 import notify_pb2

from chassis import process, telemetry
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.dead_letters import DeadLetters
from chassis.file_clock import clock_for
from chassis.migrate import assert_migrated
from chassis.pages import Pager
from chassis.secrets import derive_key
from chassis.server import Probe, Server
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.topology import REWARDS
from services.notify import jobs
from services.notify.commands.deps import Deps
from services.notify.consumer import CONSUMER, FETCH_MESSAGES, RewardEvents
from services.notify.events import SUBJECT
from services.notify.queries.deps import QueryDeps
from services.notify.queries.watch import Watches
from services.notify.queries.words import Words
from services.notify.rpc.inbox import InboxServicer
from services.notify.rpc.preferences import PreferenceServicer
from services.notify.rpc.texts import TextServicer
from services.notify.settings import NotifySettings

SERVICE = "notify"


class Notify:
    """Composition root: the only place that constructs."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        telemetry.configure(settings, SERVICE)
        self._settings = NotifySettings(**settings.model_dump())
        self._clock = clock
        self._database = Database(settings.database_url, SERVICE)
        self._watches = Watches(self._database)

    async def start(self) -> None:
        """Looks for the broker and begins to answer."""
        self._stream = await Stream.begin(
            self._settings.nats_url, f"upline-{SERVICE}", self._settings.nats_monitor_url, (REWARDS,)
        )
        await self._stream.listen(SUBJECT, self._watches.on_announcement)
        self._deps = deps = Deps(self._database, self._stream, self._clock)
        queries = QueryDeps(self._database, Words(self._database), self._watches)
        pager = Pager(derive_key(self._settings.secret, "page-token"))
        self._consumer = Consumer(
            self._stream,
            REWARDS,
            CONSUMER,
            RewardEvents(deps).handle,
            DeadLetters(self._database),
            fetch_messages=FETCH_MESSAGES,
        )
        self.server = Server(
            self._settings,
            [
                Probe("database", self._database.ready),
                Probe("migrations", partial(assert_migrated, self._database, SERVICE)),
            ],
            Probe("broker", partial(self._stream.ready, ())),
        )
        services = notify_pb2.DESCRIPTOR.services_by_name
        self.server.add(services["TextService"], TextServicer(deps, queries))
        self.server.add(services["PreferenceService"], PreferenceServicer(deps, queries))
        self.server.add(services["InboxService"], InboxServicer(deps, queries, pager))
        await self.server.start()

    async def run(self) -> None:
        """Delivers and answers until cancelled."""
        work = [self.server.run(), self._consumer.run(), self._watches.run()]
        if days := self._settings.notify_retention_days:
            work.append(jobs.forget_daily(self._deps, timedelta(days=days)))
        await process.run_all(*work)

    async def stop(self) -> None:
        """Sends watchers to another replica, finishes calls in flight and closes."""
        await self.server.leave()
        self._watches.close()
        await self.server.stop()
        await self._stream.close()
        await self._database.close()


if __name__ == "__main__":
    process.main(lambda: Notify(settings := ServiceSettings(), clock_for(settings, SERVICE)))
