"""The attribution service: who referred whom."""

from chassis import process, telemetry
from chassis.clock import Clock, SystemClock
from chassis.database import Database
from chassis.migrate import assert_migrated
from chassis.outbox import Relay
from chassis.pages import Pager
from chassis.secrets import derive_key
from chassis.server import Probe, Server
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.topology import CLICKS, CONVERSIONS
from services.attribution.commands import Deps
from services.attribution.queries import Reader

SERVICE = "attribution"


class Attribution:
    """The composition root."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._database = Database(settings.database_url, SERVICE)
        self._probes: list[Probe] = [
            Probe("database", self._database.ready),
            Probe("migrations", lambda: assert_migrated(self._database, SERVICE)),
        ]
        self.server = Server(settings, self._probes)

    async def start(self) -> None:
        """Connects to the broker, makes its streams and begins to answer."""
        telemetry.configure(self._settings, SERVICE)
        self._stream = await Stream.connect(self._settings.nats_url, SERVICE, self._settings.nats_monitor_url)
        await self._stream.ensure(CLICKS)
        await self._stream.ensure(CONVERSIONS)
        self._probes.append(Probe("stream", self._stream.ready))
        self._relay = Relay(self._database, self._stream)
        deps = Deps(self._database, self._clock, self._relay, derive_key(self._settings.secret, "click-token"))
        reader = Reader(self._database, Pager(derive_key(self._settings.secret, "page-token")))

        await self.server.start()

    async def run(self) -> None:
        """Answers, and publishes what the outbox holds, until cancelled."""
        await process.run_all(self.server.run(), self._relay.run())

    async def stop(self) -> None:
        """Lets calls in flight finish, then closes."""
        await self.server.stop()
        await self._stream.close()
        await self._database.close()


if __name__ == "__main__":
    process.main(lambda: Attribution(ServiceSettings(), SystemClock()))
