"""What callers can ask: read-only."""

from dataclasses import dataclass

from chassis.database import Database
from chassis.pages import Pager


@dataclass(frozen=True, slots=True)
class Reader:
    """What queries stand on."""

    database: Database
    pager: Pager
