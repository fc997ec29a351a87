"""The contacts of participants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.contact import Contact
from services.notify.domain.inbox import Inbox

_COLUMNS = (
    "participant_id, display_name, email, email_key, email_verify_time, time_zone, locale, create_time, update_time"
)
# Who is there is locked too, as they are by then: between two statements somebody might erase them.
_LOCK = text(f"""
    INSERT INTO contact (program_id, participant_id, create_time, update_time)
    SELECT :program_id, given, :now, :now FROM unnest(CAST(:participant_ids AS text[])) AS given
    ON CONFLICT (program_id, participant_id) DO UPDATE SET update_time = contact.update_time
    RETURNING {_COLUMNS}
""")
_WRITE = text("""
    UPDATE contact SET display_name = given.display_name, email = given.email, email_key = given.email_key,
        email_verify_time = given.email_verify_time, time_zone = given.time_zone, locale = given.locale,
        update_time = given.update_time
    FROM unnest(CAST(:participant_ids AS text[]), CAST(:display_names AS text[]), CAST(:emails AS text[]),
                CAST(:email_keys AS text[]), CAST(:email_verify_times AS timestamptz[]), CAST(:time_zones AS text[]),
                CAST(:locales AS text[]), CAST(:update_times AS timestamptz[]))
         AS given (participant_id, display_name, email, email_key, email_verify_time, time_zone, locale, update_time)
    WHERE contact.program_id = :program_id AND contact.participant_id = given.participant_id
""")
_GET = text(f"SELECT {_COLUMNS} FROM contact WHERE program_id = :program_id AND participant_id = :participant_id")
_ERASE = text(f"""
    DELETE FROM contact WHERE program_id = :program_id AND participant_id = :participant_id RETURNING {_COLUMNS}
""")


async def lock(
    conn: AsyncConnection, program_id: str, participant_ids: Sequence[str], now: datetime
) -> dict[str, Contact]:
    """The contacts of these participants by their ids, for this transaction to change; empty ones of those who had
    none. They are locked in one order, so that no two calls wait for each other."""
    values = {"program_id": program_id, "participant_ids": sorted(participant_ids), "now": now}
    return {row.participant_id: _contact(row) for row in await conn.execute(_LOCK, values)}


async def write(conn: AsyncConnection, program_id: str, contacts: Sequence[Contact]) -> None:
    """Writes contacts that are locked."""
    await conn.execute(
        _WRITE,
        {
            "program_id": program_id,
            "participant_ids": [each.participant_id for each in contacts],
            "display_names": [each.display_name for each in contacts],
            "emails": [each.email for each in contacts],
            "email_keys": [each.email_key for each in contacts],
            "email_verify_times": [each.email_verify_time for each in contacts],
            "time_zones": [each.time_zone for each in contacts],
            "locales": [each.locale for each in contacts],
            "update_times": [each.update_time for each in contacts],
        },
    )


async def get(conn: AsyncConnection, inbox: Inbox) -> Contact | None:
    """A participant's contact; None if none is kept."""
    row = (await conn.execute(_GET, _key(inbox))).one_or_none()
    return _contact(row) if row else None


async def erase(conn: AsyncConnection, inbox: Inbox) -> Contact | None:
    """Removes a participant's contact; returns what it was, None if none was kept."""
    row = (await conn.execute(_ERASE, _key(inbox))).one_or_none()
    return _contact(row) if row else None


def _contact(row: Row[Any]) -> Contact:
    return Contact(**row._mapping)


def _key(inbox: Inbox) -> dict[str, str]:
    return {"program_id": inbox.program_id, "participant_id": inbox.participant_id}
