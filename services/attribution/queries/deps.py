"""The collaborators that queries share."""

from dataclasses import dataclass

from chassis.database import Database


@dataclass(frozen=True, slots=True)
class QueryDeps:
    """Made once, at the composition root."""

    database: Database
