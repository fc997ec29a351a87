"""The transactional outbox: events are written with the facts they tell of. A relay publishes them afterwards."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.stream import Message

_APPEND = text("""
    INSERT INTO outbox (subject, message_id, message_type, payload)
    VALUES (:subject, :message_id, :message_type, :payload)
""")
_LAST_ID = text("SELECT coalesce(max(outbox_id), 0) FROM outbox")


async def append(conn: AsyncConnection, messages: Sequence[Message]) -> None:
    """Adds messages to the outbox in the caller's transaction."""
    if messages:
        await conn.execute(
            _APPEND,
            [
                {
                    "subject": each.subject,
                    "message_id": each.message_id,
                    "message_type": each.message_type,
                    "payload": each.payload,
                }
                for each in messages
            ],
        )


async def last_id(conn: AsyncConnection) -> int:
    """The id of the last row that is there; 0 where there is none. Rows before it may still be committed."""
    found: int = (await conn.execute(_LAST_ID)).scalar_one()
    return found
