"""The attribution service: who referred whom."""

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from upline.attribution.v1 import click_pb2, conversion_pb2, link_pb2, participant_pb2, program_pb2

from chassis import process, telemetry
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.dead_letters import DeadLetters
from chassis.file_clock import clock_for
from chassis.migrate import assert_migrated
from chassis.outbox import Relay
from chassis.pages import Pager
from chassis.secrets import derive_key
from chassis.server import Probe, Server
from chassis.settings import ServiceSettings
from chassis.stream import Stream
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

SERVICE = "attribution"


class Attribution:
    """The composition root."""

    server: Server

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = AttributionSettings(**settings.model_dump())
        self._clock = clock
        self._database = Database(settings.database_url, SERVICE)
        self._probes: list[Probe] = [
            Probe("database", self._database.ready),
            Probe("migrations", lambda: assert_migrated(self._database, SERVICE)),
        ]
        self._open = AsyncExitStack()
        """What was opened, to be closed in the opposite order."""
        self.redirect_port = 0

    async def start(self) -> None:
        """Looks for the broker, makes its streams and begins to answer."""
        self._open.push_async_callback(self._database.close)
        telemetry.configure(self._settings, SERVICE)
        self._stream = await Stream.begin(
            self._settings.nats_url, SERVICE, self._settings.nats_monitor_url, (CLICKS, CONVERSIONS)
        )
        self._open.push_async_callback(self._stream.close)
        ready = partial(self._stream.ready, (CLICKS,))  # events wait in the outbox where theirs is full
        self.server = Server(self._settings, self._probes, Probe("broker", ready))
        self._relay = Relay(self._database, self._stream, CONVERSIONS)
        self._serve_people()
        await self._serve_clicks()
        await self.server.start()
        self._open.push_async_callback(self.server.stop)

    def _serve_people(self) -> None:
        """Puts together what keeps programs, participants and conversions."""
        settings = self._settings
        deps = Deps(self._database, self._clock, self._relay, derive_key(settings.secret, "click-token"))
        reader = Reader(self._database, Pager(derive_key(settings.secret, "page-token")))
        add = self.server.add
        add(program_pb2.DESCRIPTOR.services_by_name["ProgramService"], ProgramServicer(deps, reader))
        add(participant_pb2.DESCRIPTOR.services_by_name["ParticipantService"], ParticipantServicer(deps, reader))
        add(conversion_pb2.DESCRIPTOR.services_by_name["ConversionService"], ConversionServicer(deps, reader))

    async def _serve_clicks(self) -> None:
        """Puts together what records clicks, writes them and leads visitors on."""
        settings, stream = self._settings, self._stream
        intake = Intake(partial(publish_batch, stream), lambda: stream.connected)
        self._open.push_async_callback(intake.drain)
        click_deps = ClickDeps(
            clock=self._clock,
            links=LinkCache(self._database),
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
        self._open.push_async_callback(redirect.stop)
        self.redirect_port = await redirect.start()
        address = LinkAddress(settings.public_url.rstrip("/") or f"http://{settings.host}:{self.redirect_port}")
        link_deps = LinkDeps(self._database, self._clock, address)
        link_reader = LinkReader(self._database, Pager(derive_key(settings.secret, "page-token")), address)
        self.server.add(link_pb2.DESCRIPTOR.services_by_name["LinkService"], LinkServicer(link_deps, link_reader))
        self.server.add(
            click_pb2.DESCRIPTOR.services_by_name["ClickService"],
            ClickServicer(click_deps),
            SELF_VALIDATING,
            READERS,
            needs_broker=True,
        )
        self._writer = ClickWriter(self._database, self._clock, timedelta(days=settings.click_retention_days))
        self._click_consumer = Consumer(
            stream, CLICKS, "click_writer", self._writer.write, DeadLetters(self._database), FETCH_MESSAGES
        )

    async def run(self) -> None:
        """Answers, writes clicks, and publishes what the outbox holds, until cancelled."""
        await process.run_all(
            self.server.run(), self._relay.run(), self._click_consumer.run(), self._writer.run_upkeep()
        )

    async def stop(self) -> None:
        """Lets calls in flight finish, then closes."""
        await self._open.aclose()


if __name__ == "__main__":
    process.main(lambda: Attribution(settings := ServiceSettings(), clock_for(settings, SERVICE)))
