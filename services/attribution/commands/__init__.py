"""What callers can have done: one async function per use case."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Relay


@dataclass(frozen=True, slots=True)
class Deps:
    """What commands stand on."""

    database: Database
    clock: Clock
    relay: Relay
    click_token_key: bytes
