"""The collaborators that queries share."""

from dataclasses import dataclass

from chassis.database import Database
from services.notify.queries.watch import Watches
from services.notify.queries.words import Words


@dataclass(frozen=True, slots=True)
class QueryDeps:
    """Made once, at the composition root."""

    database: Database
    words: Words
    watches: Watches
