"""The collaborators that commands share; each set is made once, at the composition root."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.relay import Relay
from services.attribution.intake import Intake
from services.attribution.store.link_cache import LinkCache
from services.attribution.store.partitions import ClickPartitions
from services.attribution.wire.links import LinkAddress


@dataclass(frozen=True, slots=True)
class Deps:
    """The collaborators of commands that work in the database: on programs, participants, links and conversions."""

    database: Database
    clock: Clock
    relay: Relay
    click_token_key: bytes
    link_address: LinkAddress


@dataclass(frozen=True, slots=True)
class ClickDeps:
    """The collaborators of recording clicks, which asks the database only for links that were not met lately."""

    clock: Clock
    links: LinkCache
    intake: Intake
    click_token_key: bytes


@dataclass(frozen=True, slots=True)
class WriterDeps:
    """The collaborators of writing recorded clicks into their partitions."""

    database: Database
    clock: Clock
    partitions: ClickPartitions
