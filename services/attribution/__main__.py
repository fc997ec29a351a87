"""The attribution service: who referred whom."""

from datetime import timedelta
from functools import partial

from upline.attribution.v1 import click_pb2, conversion_pb2, link_pb2, participant_pb2, program_pb2

from chassis import process
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.dead_letters import DeadLetters
from chassis.outbox import Relay
from chassis.secrets import derive_key
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.topology import CLICKS, CONVERSIONS
from services.attribution.commands import Deps
from services.attribution.commands.clicks import ClickDeps
from services.attribution.commands.links import LinkDeps
from services.attribution.intake import Intake, publish_batch
from services.attribution.queries import Reader
from services.attribution.queries.links import LinkReader
from services.attribution.redirect import Redirect, RedirectSettings
from services.attribution.rpc.clicks import READERS, SELF_VALIDATING, ClickServicer
from services.attribution.rpc.conversions import ConversionServicer
from services.attribution.rpc.links import LinkServicer
from services.attribution.rpc.participants import ParticipantServicer
from services.attribution.rpc.programs import ProgramServicer
from services.attribution.settings import AttributionSettings
from services.attribution.store.link_cache import LinkCache
from services.attribution.wire.clicks import Sealer
from services.attribution.wire.links import LinkAddress
from services.attribution.writer import FETCH_MESSAGES, ClickWriter


class Attribution(Service[AttributionSettings]):
    """The composition root."""

    name = "attribution"
    streams = (CLICKS, CONVERSIONS)
    tried_streams = (CLICKS,)
    """Not CONVERSIONS: where that one is full, events wait in the outbox."""

    redirect_port: int

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        super().__init__(AttributionSettings(**settings.model_dump()), clock)

    async def compose(self) -> None:
        """Serves people and conversions, takes clicks in, leads visitors on, and writes clicks."""
        self._serve_people()
        await self._serve_clicks()
        self._write_clicks()

    def _serve_people(self) -> None:
        relay = Relay(self.database, self.stream, CONVERSIONS)
        self.on_run(relay.run)
        deps = Deps(self.database, self.clock, relay, derive_key(self.settings.secret, "click-token"))
        reader = Reader(self.database, self.pager)
        add = self.server.add
        add(program_pb2.DESCRIPTOR.services_by_name["ProgramService"], ProgramServicer(deps, reader))
        add(participant_pb2.DESCRIPTOR.services_by_name["ParticipantService"], ParticipantServicer(deps, reader))
        add(conversion_pb2.DESCRIPTOR.services_by_name["ConversionService"], ConversionServicer(deps, reader))

    async def _serve_clicks(self) -> None:
        settings, stream = self.settings, self.stream
        intake = Intake(partial(publish_batch, stream), lambda: stream.connected)
        self.on_stop(intake.drain)
        click_deps = ClickDeps(
            clock=self.clock,
            links=LinkCache(self.database),
            intake=intake,
            sealer=Sealer(derive_key(settings.secret, "click-hash")),
            click_token_key=derive_key(settings.secret, "click-token"),
        )
        redirect = Redirect(
            RedirectSettings(
                host=settings.host,
                port=settings.redirect_port,
                reuse_port=settings.reuse_port,
                trusted_proxies=settings.trusted_proxies,
                secure_cookie=settings.public_url.startswith("https://"),
            ),
            click_deps,
        )
        self.on_stop(redirect.stop)
        self.redirect_port = await redirect.start()
        address = LinkAddress(settings.public_url.rstrip("/") or f"http://{settings.host}:{self.redirect_port}")
        link_deps = LinkDeps(self.database, self.clock, address)
        link_reader = LinkReader(self.database, self.pager, address)
        self.server.add(link_pb2.DESCRIPTOR.services_by_name["LinkService"], LinkServicer(link_deps, link_reader))
        self.server.add(
            click_pb2.DESCRIPTOR.services_by_name["ClickService"],
            ClickServicer(click_deps),
            SELF_VALIDATING,
            READERS,
            needs_broker=True,
        )

    def _write_clicks(self) -> None:
        writer = ClickWriter(self.database, self.clock, timedelta(days=self.settings.click_retention_days))
        self.on_run(writer.run_upkeep)
        consumer = Consumer(
            self.stream, CLICKS, "click_writer", writer.write, DeadLetters(self.database), FETCH_MESSAGES
        )
        self.on_run(consumer.run)


if __name__ == "__main__":
    process.main(Attribution)
