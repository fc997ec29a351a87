"""The transactional outbox: events are written with the facts they tell of. A relay publishes them afterwards."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.stream import Message

_APPEND = text("""
    INSERT INTO outbox (subject, message_id, message_type, payload)
    VALUES (:subject, :message_id, :message_type, :payload)
""")
_LAST_ID = text("SELECT coalesce(max(outbox_id), 0) FROM outbox")
_NEXT_TRANSACTION = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
_IS_COMPLETE = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) >= :transaction")
_ARE_PUBLISHED = text("""
    SELECT NOT EXISTS (SELECT FROM outbox WHERE publish_time IS NULL AND subject = :subject AND outbox_id <= :last_id)
""")


class Head(NamedTuple):
    """The rows up to the last one that is there."""

    last_id: int
    transaction: int
    """When every transaction before this one has ended, no row up to `last_id` comes any more."""


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


async def next_head(conn: AsyncConnection) -> Head:
    """The rows up to the last one. Whoever may still commit one before it has begun to write by now."""
    return Head(await last_id(conn), (await conn.execute(_NEXT_TRANSACTION)).scalar_one())


async def is_complete(conn: AsyncConnection, head: Head) -> bool:
    """Whether none of its rows comes any more. Asked in a transaction after that in which the head was found."""
    complete: bool = (await conn.execute(_IS_COMPLETE, {"transaction": head.transaction})).scalar_one()
    return complete


async def are_published(conn: AsyncConnection, subject: str, last_id: int) -> bool:
    """Whether all rows of a subject are published, of those that are there up to one."""
    published: bool = (await conn.execute(_ARE_PUBLISHED, {"subject": subject, "last_id": last_id})).scalar_one()
    return published
