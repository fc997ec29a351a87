"""Messages that fail for a reason of their own: counted, and after some tries set aside for a person."""

from dataclasses import dataclass

from nats.aio.msg import Msg
from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, func, text

from chassis.database import Database

MAX_ATTEMPTS = 5
"""Tries before a message is set aside: enough for a deployment to be rolled back under it."""

_COUNT = text("""
    INSERT INTO dead_letter (consumer, message_id, subject, payload, error) VALUES (:consumer, :message_id, :subject, :payload, :error)
    ON CONFLICT (consumer, message_id) DO UPDATE
    SET attempts = dead_letter.attempts + 1, error = excluded.error, update_time = now()
    RETURNING attempts
""")
_PARK = text("UPDATE dead_letter SET park_time = now() WHERE consumer = :consumer AND message_id = :message_id")


def dead_letter_table(metadata: MetaData) -> Table:
    """Failures of one service's consumers; those with a `park_time` wait for a person."""
    return Table(
        "dead_letter",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("message_id", Text, primary_key=True),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("error", Text, nullable=False),
        Column("attempts", Integer, nullable=False, server_default="1"),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("update_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("park_time", DateTime(timezone=True)),
    )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The failures of one service's consumers."""

    database: Database

    async def give_up(self, consumer: str, message: Msg, error: Exception) -> bool:
        """Counts a failure; true when it was the last allowed one and the message is stored for a person."""
        key = {"consumer": consumer, "message_id": message_name(message)}
        async with self.database.transaction() as conn:
            attempts: int = (
                await conn.execute(
                    _COUNT,
                    {
                        **key,
                        "subject": message.subject,
                        "payload": message.data,
                        "error": f"{type(error).__name__}: {error}"[:2000],
                    },
                )
            ).scalar_one()
            if attempts >= MAX_ATTEMPTS:
                await conn.execute(_PARK, key)
        return attempts >= MAX_ATTEMPTS


def message_name(message: Msg) -> str:
    """The publisher's id of a message, or its place in the stream if it has none."""
    headers = message.headers or {}
    return headers.get("Nats-Msg-Id") or f"{message.metadata.stream}:{message.metadata.sequence.stream}"
