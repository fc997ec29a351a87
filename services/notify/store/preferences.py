"""The preferences of participants."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.inbox import Inbox

_SET = text("""
    INSERT INTO preference (program_id, participant_id, locale, update_time)
    VALUES (:program_id, :participant_id, :locale, :now)
    ON CONFLICT (program_id, participant_id) DO UPDATE SET locale = excluded.locale, update_time = excluded.update_time
""")
_ERASE = text("""
    DELETE FROM preference WHERE program_id = :program_id AND participant_id = :participant_id RETURNING locale
""")
_GET = text("SELECT locale FROM preference WHERE program_id = :program_id AND participant_id = :participant_id")


async def set_locale(conn: AsyncConnection, inbox: Inbox, locale: str, now: datetime) -> None:
    """Replaces the preferred language; an empty one stands for the program's."""
    await conn.execute(
        _SET,
        {"program_id": inbox.program_id, "participant_id": inbox.participant_id, "locale": locale, "now": now},
    )


async def locale(conn: AsyncConnection, inbox: Inbox) -> str:
    """The preferred language; empty if none was chosen."""
    key = {"program_id": inbox.program_id, "participant_id": inbox.participant_id}
    return (await conn.execute(_GET, key)).scalar_one_or_none() or ""


async def erase(conn: AsyncConnection, inbox: Inbox) -> str:
    """Removes a participant's preferences; returns the language that was chosen, empty if none was."""
    key = {"program_id": inbox.program_id, "participant_id": inbox.participant_id}
    return (await conn.execute(_ERASE, key)).scalar_one_or_none() or ""
