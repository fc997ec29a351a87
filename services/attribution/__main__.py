"""The attribution service: who referred whom."""

from datetime import timedelta
from functools import partial

from chassis import process, retention
from chassis.asking import AskedReader, Batches
from chassis.clock import Clock
from chassis.database import Work
from chassis.measuring import outbox
from chassis.reconciler import Reconciler
from chassis.relay import Relay
from chassis.secrets import derive_key
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.topology import CLICKS, CONVERSIONS, PEOPLE
from services.attribution import events, jobs
from services.attribution.commands.deps import ClickDeps, Deps, WriterDeps
from services.attribution.consumer import CONSUMER, FETCH_MESSAGES, ClickBatches
from services.attribution.intake import Intake, publish_batch
from services.attribution.queries.deps import QueryDeps
from services.attribution.rpc.classes import CLASSES
from services.attribution.rpc.clicks import READERS, SELF_VALIDATING, ClickServicer
from services.attribution.rpc.conversions import ConversionServicer
from services.attribution.rpc.links import LinkServicer
from services.attribution.rpc.participants import ParticipantServicer
from services.attribution.rpc.programs import ProgramServicer
from services.attribution.settings import AttributionSettings
from services.attribution.store.link_cache import LinkCache
from services.attribution.store.partitions import ClickPartitions
from services.attribution.wire.clicks import Sealer
from services.attribution.wire.links import LinkAddress


class AttributionService(Service[AttributionSettings]):
    """The composition root."""

    name = schema = "attribution"
    streams = (CLICKS, CONVERSIONS, PEOPLE)
    tried_streams = (CLICKS,)
    """Not the others: where one of these is full, events wait in the outbox."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        super().__init__(AttributionSettings(**settings.model_dump()), clock)

    async def compose(self) -> None:
        """Serves people and conversions, takes clicks in, and writes them."""
        click_token_key = derive_key(self.settings.secret, "click-token")
        relay = Relay(self.databases[Work.RELAY], self.stream, [CONVERSIONS], unhurried=[PEOPLE])
        self.on_run(relay.run)
        self.on_measure(outbox(self.name))
        batches = Batches(events.told_facts, events.only)
        for reader in CONVERSIONS.consumers:
            asked = AskedReader(self.stream, CONVERSIONS, reader, batches)
            self.on_run(Reconciler(self.databases[Work.JOBS], asked).run)
        link_address = LinkAddress(self.settings.link_url)
        deps = Deps(self.database, self.clock, relay, click_token_key, link_address)
        queries = QueryDeps(self.database)
        intake = Intake(partial(publish_batch, self.stream), lambda: self.stream.connected)
        self.on_stop(intake.drain)
        click_deps = ClickDeps(self.clock, LinkCache(self.databases[Work.CLICKS]), intake, click_token_key)
        sealer = Sealer(derive_key(self.settings.secret, "click-hash"))
        add, pager = self.server.add, self.pager
        add(ProgramServicer(deps, queries, pager), CLASSES)
        add(ParticipantServicer(deps, queries, pager), CLASSES)
        add(ConversionServicer(deps, queries, pager), CLASSES)
        add(LinkServicer(deps, queries, pager, link_address), CLASSES)
        add(ClickServicer(click_deps, sealer), CLASSES, SELF_VALIDATING, READERS, needs_broker=True)
        self.on_run(partial(retention.keep, self.databases[Work.JOBS], self.clock, jobs.lives(self.settings)))
        self._write_clicks()

    def _write_clicks(self) -> None:
        # The partitions that a batch misses are made where it is written: what one makes, the other has seen.
        consuming = self.databases[Work.CONSUMING]
        deps = WriterDeps(consuming, self.clock, ClickPartitions(consuming))
        kept = timedelta(days=self.settings.click_retention_days)
        self.on_run(partial(jobs.look_after_partitions, deps, kept))
        handle = ClickBatches(deps).handle
        self.consume(CLICKS, CONSUMER, handle, FETCH_MESSAGES)


if __name__ == "__main__":
    process.main(AttributionService)
