"""People as texts see them, read for all entries of a page at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.contact import NOBODY, Person
from services.notify.domain.inbox import Inbox

_PEOPLE = text("""
    SELECT program_id, participant_id, display_name, time_zone, locale, coalesce(texts_version, 0) AS texts_version
    FROM unnest(CAST(:program_ids AS text[]), CAST(:participant_ids AS text[])) AS wanted (program_id, participant_id)
    LEFT JOIN contact USING (program_id, participant_id) LEFT JOIN program USING (program_id)
""")


@dataclass(frozen=True, slots=True)
class People:
    """The people of some entries, and the newest texts of their programs, as of one moment."""

    persons: dict[Inbox, Person]
    texts_versions: dict[str, int]

    def person(self, inbox: Inbox) -> Person:
        """The participant, as far as they are known."""
        return self.persons.get(inbox, NOBODY)


async def people_of(conn: AsyncConnection, inboxes: Iterable[Inbox]) -> People:
    """The people whom these inboxes belong to, or would. One statement, by the primary key of each."""
    wanted = list(set(inboxes))
    persons: dict[Inbox, Person] = {}
    versions: dict[str, int] = {}
    if wanted:
        rows = await conn.execute(
            _PEOPLE,
            {
                "program_ids": [each.program_id for each in wanted],
                "participant_ids": [each.participant_id for each in wanted],
            },
        )
        for row in rows:
            versions[row.program_id] = row.texts_version
            if row.display_name is not None:
                inbox = Inbox(row.program_id, row.participant_id)
                persons[inbox] = Person(row.display_name, row.time_zone, row.locale)
    return People(persons, versions)
