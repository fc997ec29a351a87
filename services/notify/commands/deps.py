"""The collaborators that commands share."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.stream import Stream


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, at the composition root."""

    database: Database
    stream: Stream
    clock: Clock
