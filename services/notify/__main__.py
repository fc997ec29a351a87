"""The notify service: everyone who earned is told."""

from dataclasses import replace
from functools import partial

from chassis import process, retention
from chassis.answering import Reader
from chassis.clock import Clock
from chassis.database import Work
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.topology import REWARDS
from services.notify import jobs, measures
from services.notify.channels.webhook import WebhookChannel, WebhookSecrets
from services.notify.commands.deps import Deps
from services.notify.commands.sending import Sending
from services.notify.consumer import CONSUMER, FETCH_MESSAGES, RewardEvents
from services.notify.events import SUBJECT
from services.notify.queries.deps import QueryDeps
from services.notify.queries.watch import Watches
from services.notify.queries.words import Words
from services.notify.rpc.classes import CLASSES
from services.notify.rpc.contacts import ContactServicer
from services.notify.rpc.deliveries import DeliveryServicer
from services.notify.rpc.inbox import InboxServicer
from services.notify.rpc.preferences import PreferenceServicer
from services.notify.rpc.texts import TextServicer
from services.notify.rpc.webhooks import WebhookServicer
from services.notify.settings import NotifySettings
from services.notify.store.causes import told
from services.notify.wire.events import read_told_facts


class NotifyService(Service[NotifySettings]):
    """The composition root."""

    name = schema = "notify"
    streams = (REWARDS,)

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        super().__init__(NotifySettings(**settings.model_dump()), clock)

    async def compose(self) -> None:
        """Serves texts, contacts, preferences and inboxes, and delivers the events of rewards."""
        self.watches = Watches(self.database)
        self.on_leave(self.watches.close)
        await self.stream.listen(SUBJECT, self.watches.on_announcement)
        self.on_run(self.watches.run)
        deps = Deps(self.database, self.stream, self.clock)
        queries = QueryDeps(self.database, Words(self.database), self.watches)

        self.server.add(TextServicer(deps, queries), CLASSES)
        self.server.add(ContactServicer(deps, queries), CLASSES)
        self.server.add(PreferenceServicer(deps, queries), CLASSES)
        self.server.add(InboxServicer(deps, queries, self.pager), CLASSES)
        secrets, allow_loopback = WebhookSecrets(self.settings.secret), self.settings.webhook_allow_loopback
        self.server.add(WebhookServicer(deps, queries, secrets, allow_loopback), CLASSES)
        self.server.add(DeliveryServicer(deps, queries, self.pager), CLASSES)

        channel = WebhookChannel(secrets, allow_loopback)
        self.on_stop(channel.close)
        self.sending = Sending(replace(deps, database=self.databases[Work.JOBS]), channel)
        self.on_run(self.sending.run)
        for each in measures.all_of():
            self.on_measure(each)

        events = RewardEvents(replace(deps, database=self.databases[Work.CONSUMING]), self.progress)
        self.consume(REWARDS, CONSUMER, events.handle, FETCH_MESSAGES)
        await Reader(self.databases[Work.JOBS], self.stream, CONSUMER, told, read_told_facts).listen()
        self.on_run(
            partial(retention.keep, self.databases[Work.JOBS], self.clock, jobs.lives(self.settings, self.clock))
        )


if __name__ == "__main__":
    process.main(NotifyService)
