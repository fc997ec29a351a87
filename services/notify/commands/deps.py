"""What commands work with."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.stream import Stream


@dataclass(frozen=True, slots=True)
class Deps:
    """What commands work with."""

    database: Database
    stream: Stream
    clock: Clock
