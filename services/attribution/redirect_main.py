"""The process of the redirect: `python -m services.attribution.redirect_main`.

It is a process of its own so that whatever visitors do, who may be anybody, costs callers of gRPC nothing. It shares
the attribution service's role, schema and stream of clicks, and no memory: what it knows of links is at most as old as
`services/attribution/store/link_cache.py` says.
"""

from functools import partial

from chassis import process
from chassis.clock import Clock
from chassis.database import Work
from chassis.secrets import derive_key
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.topology import CLICKS
from services.attribution.commands.deps import ClickDeps
from services.attribution.intake import Intake, publish_batch
from services.attribution.redirect import Redirect
from services.attribution.settings import RedirectSettings
from services.attribution.store.link_cache import LinkCache
from services.attribution.wire.clicks import Sealer


class RedirectService(Service[RedirectSettings]):
    """Leads visitors on by HTTP. Its gRPC server tells health, as that of every process does, and serves no calls."""

    name = "redirect"
    schema = "attribution"
    works = (Work.CLICKS, Work.PROBES)
    streams = tried_streams = (CLICKS,)

    redirect_port: int

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        super().__init__(RedirectSettings(**settings.model_dump()), clock)

    async def compose(self) -> None:
        """Begins to lead visitors on."""
        secret = self.settings.secret
        intake = Intake(partial(publish_batch, self.stream), lambda: self.stream.connected)
        self.on_stop(intake.drain)
        links = LinkCache(self.databases[Work.CLICKS])
        deps = ClickDeps(self.clock, links, intake, derive_key(secret, "click-token"))
        redirect = Redirect(self.settings, deps, Sealer(derive_key(secret, "click-hash")))
        self.on_stop(redirect.stop)
        self.redirect_port = await redirect.start()


if __name__ == "__main__":
    process.main(RedirectService)
