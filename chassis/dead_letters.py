"""Messages that fail for a reason of their own: counted, and after some tries set aside for a person."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nats.aio.msg import Msg
from sqlalchemy import text

from chassis.database import Database
from chassis.faults import describe_with_kind

MAX_ATTEMPTS = 15
"""Tries before a message is set aside. With the pauses between them (`chassis.consumer.RETRY_SECONDS`) they take ten
minutes: enough for a deployment to be rolled back under it, and for whatever it waits for to pass."""
MAX_ERROR_CHARS = 2_000
"""The characters of an error that are kept: more than a person reads, where a list of problems can be longer."""

_COUNT = text("""
    INSERT INTO dead_letter (consumer, message_id, subject, payload, error)
    VALUES (:consumer, :message_id, :subject, :payload, :error)
    ON CONFLICT (consumer, message_id) DO UPDATE
    SET attempts = dead_letter.attempts + 1, error = excluded.error, update_time = now()
    RETURNING attempts
""")
_PARK = text("UPDATE dead_letter SET park_time = now() WHERE consumer = :consumer AND message_id = :message_id")
_PARKED = text("""
    SELECT consumer, message_id, subject, payload, error, attempts, create_time, park_time FROM dead_letter
    WHERE park_time IS NOT NULL ORDER BY park_time, message_id
""")
_ATTEMPTS = text("""
    SELECT message_id, attempts FROM dead_letter WHERE consumer = :consumer AND message_id = ANY (:message_ids)
""")
_WRITE_NOTHING = text("UPDATE dead_letter SET attempts = attempts WHERE false")
_TAKE = text("""
    DELETE FROM dead_letter WHERE consumer = :consumer AND message_id = :message_id AND park_time IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was set aside."""

    consumer: str
    message_id: str
    subject: str
    payload: bytes
    error: str
    """The error of the last try."""
    attempts: int
    create_time: datetime
    """The time of its first failure."""
    park_time: datetime
    """The time when it was set aside."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The failures of one service's consumers."""

    database: Database

    async def give_up(self, consumer: str, message: Msg, error: Exception) -> bool:
        """Counts a failure; says whether it was the last one allowed, so that the message is stored for a person."""
        key = {"consumer": consumer, "message_id": message_name(message)}
        async with self.database.transaction() as conn:
            attempts: int = (
                await conn.execute(
                    _COUNT,
                    {
                        **key,
                        "subject": message.subject,
                        "payload": message.data,
                        "error": describe_with_kind(error)[:MAX_ERROR_CHARS],
                    },
                )
            ).scalar_one()
            if attempts >= MAX_ATTEMPTS:
                await conn.execute(_PARK, key)
        return attempts >= MAX_ATTEMPTS

    async def attempts(self, consumer: str, messages: Sequence[Msg]) -> dict[str, int]:
        """How often each of the messages has failed, by its name; those that never did are missing."""
        names = {"consumer": consumer, "message_ids": [message_name(each) for each in messages]}
        async with self.database.transaction() as conn:
            return {row.message_id: row.attempts for row in await conn.execute(_ATTEMPTS, names)}

    async def require_writable(self) -> None:
        """Raises if the database does not answer, or takes no writes, as one that is failing over."""
        async with self.database.transaction() as conn:
            await conn.execute(_WRITE_NOTHING)

    async def parked(self) -> list[DeadLetter]:
        """The messages that wait for a person, the oldest first."""
        async with self.database.transaction() as conn:
            rows = (await conn.execute(_PARKED)).mappings().all()
        return [DeadLetter(**{**row, "payload": bytes(row["payload"])}) for row in rows]

    async def put_back(self, letter: DeadLetter, publish: Callable[[], Awaitable[None]]) -> bool:
        """Removes a letter once `publish` has stored its message in its stream again; says False if somebody else has.

        If the process dies between the two, the message is in both places: an event that was handled changes nothing
        when it is handled again.
        """
        async with self.database.transaction() as conn:
            taken = await conn.execute(_TAKE, {"consumer": letter.consumer, "message_id": letter.message_id})
            if taken.rowcount:
                await publish()
        return bool(taken.rowcount)


def message_name(message: Msg) -> str:
    """The publisher's id of a message, or its place in the stream if it has none."""
    headers = message.headers or {}
    return headers.get("Nats-Msg-Id") or f"{message.metadata.stream}:{message.metadata.sequence.stream}"
