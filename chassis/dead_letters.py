"""Messages that fail for a reason of their own: counted, and after some tries set aside for a person."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from chassis.faults import describe_with_kind

MAX_ATTEMPTS = 15
"""Tries before a message is set aside. With the pauses between them (`chassis.consumer.RETRY_SECONDS`) they take ten
minutes: enough for a deployment to be rolled back under it, and for whatever it waits for to pass."""
MAX_ERROR_CHARS = 2_000
"""The characters of an error that are kept: more than a person reads, where a list of problems can be longer."""

About = Mapping[str, str]
"""The fact of a message that could not be handled: what identifies it, such as its trace id, by names as in logs."""
ON_TRIAL = "this message was being handled alone, and nothing was heard of it since"
"""Stands for the error of a message while it is handled alone."""
STOPPED = "the process was stopped while this message was being handled alone"

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
_HISTORIES = text("""
    SELECT message_id, attempts, error = :on_trial AS on_trial, park_time IS NOT NULL AS parked FROM dead_letter
    WHERE consumer = :consumer AND message_id = ANY (:message_ids)
""")
_BEGIN_TRIAL = text("""
    INSERT INTO dead_letter (consumer, message_id, subject, payload, error, attempts)
    VALUES (:consumer, :message_id, :subject, :payload, :error, 0)
    ON CONFLICT (consumer, message_id) DO UPDATE SET error = excluded.error, update_time = now()
""")
_END_TRIAL = text("""
    UPDATE dead_letter SET error = :error, update_time = now()
    WHERE consumer = :consumer AND message_id = :message_id AND error = :on_trial
""")
_SET_ASIDE = text("""
    UPDATE dead_letter SET attempts = :attempts, error = :error, update_time = now(), park_time = now()
    WHERE consumer = :consumer AND message_id = :message_id
""")
_STORE = text("""
    INSERT INTO dead_letter (consumer, message_id, subject, payload, error, attempts, park_time)
    VALUES (:consumer, :message_id, :subject, :payload, :error, :attempts, now())
    ON CONFLICT (consumer, message_id) DO UPDATE
    SET error = excluded.error, attempts = excluded.attempts, update_time = now(), park_time = now()
""")
_WRITE_NOTHING = text("UPDATE dead_letter SET attempts = attempts WHERE false")
_TAKE = text("""
    DELETE FROM dead_letter WHERE consumer = :consumer AND message_id = :message_id AND park_time IS NOT NULL
""")


class SetAside(NamedTuple):
    """A message that is set aside at once, because it was tried elsewhere."""

    consumer: str
    message_id: str
    subject: str
    payload: bytes
    error: str
    """The error of the last try."""
    attempts: int


async def set_aside(conn: AsyncConnection, letter: SetAside) -> None:
    """Stores a message for a person."""
    await conn.execute(_STORE, letter._asdict())


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


class History(NamedTuple):
    """The failures of a message that comes again."""

    attempts: int = 0
    """How often it failed and the process lived to count it."""
    on_trial: bool = False
    """Whether it was being handled alone when it was last heard of."""
    parked: bool = False
    """Whether it was set aside."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The failures of one service's consumers."""

    database: Database

    async def give_up(self, consumer: str, message: Msg, error: Exception, about: About) -> bool:
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
                        "error": told(error, about),
                    },
                )
            ).scalar_one()
            if attempts >= MAX_ATTEMPTS:
                await conn.execute(_PARK, key)
        return attempts >= MAX_ATTEMPTS

    async def histories(self, consumer: str, messages: Sequence[Msg]) -> dict[str, History]:
        """The histories of those among the messages that have one, by their names."""
        names = [message_name(each) for each in messages]
        async with self.database.transaction() as conn:
            rows = await conn.execute(_HISTORIES, {"consumer": consumer, "message_ids": names, "on_trial": ON_TRIAL})
            return {row.message_id: History(row.attempts, row.on_trial, row.parked) for row in rows}

    async def begin_trial(self, consumer: str, message: Msg) -> None:
        """Notes that a message is being handled alone, before it is. If the process does not live to say how that
        ended, the note says so."""
        letter = {
            "consumer": consumer,
            "message_id": message_name(message),
            "subject": message.subject,
            "payload": message.data,
            "error": ON_TRIAL,
        }
        async with self.database.transaction() as conn:
            await conn.execute(_BEGIN_TRIAL, letter)

    async def end_trial(self, consumer: str, message: Msg) -> None:
        """Notes that a message is no longer being handled: the process stops."""
        key = {"consumer": consumer, "message_id": message_name(message)}
        async with self.database.transaction() as conn:
            await conn.execute(_END_TRIAL, {**key, "error": STOPPED, "on_trial": ON_TRIAL})

    async def set_aside(self, consumer: str, message: Msg) -> None:
        """Stores a message on trial for a person, because it took the process with it."""
        delivered = message.metadata.num_delivered or 1
        error = (
            f"ProcessDied: delivered {delivered} times; the process died while it worked on it, the last times alone"
        )
        letter = {"consumer": consumer, "message_id": message_name(message), "attempts": delivered, "error": error}
        async with self.database.transaction() as conn:
            await conn.execute(_SET_ASIDE, letter)

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


def told(error: Exception, about: About) -> str:
    """The error as it is kept, with the fact at fault behind it."""
    fact = f" ({', '.join(f'{name} {value}' for name, value in about.items())})" if about else ""
    # PostgreSQL stores no NUL in a text.
    return describe_with_kind(error).replace("\0", "\N{REPLACEMENT CHARACTER}")[: MAX_ERROR_CHARS - len(fact)] + fact


def message_name(message: Msg) -> str:
    """The publisher's id of a message, or its place in the stream if it has none."""
    headers = message.headers or {}
    return headers.get("Nats-Msg-Id") or f"{message.metadata.stream}:{message.metadata.sequence.stream}"
