"""The outbox relay dies between publishing and marking."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import cast

import psycopg
import pytest
import pytest_asyncio
from upline.rewards.v1 import events_pb2

from chassis.consumer import Consumer
from chassis.database import Database
from chassis.dead_letters import DeadLetters
from chassis.relay import RELAY_BATCH, Relay
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from tests.conftest import Servers
from tests.flow import becomes

SCHEMA = "relay_test"
SPEC = StreamSpec("RELAY_TEST", "relay.test", ("reader",), 10 * 1024 * 1024)
TABLES = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.outbox (LIKE rewards.outbox INCLUDING ALL);
CREATE TABLE {SCHEMA}.dead_letter (LIKE rewards.dead_letter INCLUDING ALL);
"""


class DiedError(Exception):
    """Stands for kill -9."""


class DiesAfterPublishing:
    """A stream whose process dies when the broker has everything and nobody knows."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Publishes, then dies."""
        await self._stream.publish_all(messages)
        raise DiedError


@pytest_asyncio.fixture(scope="module")
async def outbox(servers: Servers) -> AsyncIterator[Database]:
    """A database with an outbox that no service relays."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(TABLES.encode())
    database = Database(servers.postgres.url, SCHEMA)
    yield database
    await database.close()
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())


async def test_rows_published_before_the_relay_died_come_again_and_late_rows_with_them(
    servers: Servers, broker: Stream, outbox: Database
) -> None:
    await broker.ensure(SPEC)
    read: list[str] = []

    async def note(payloads: Sequence[bytes]) -> None:
        read.extend(
            event.event_id for each in payloads for event in events_pb2.RewardEventBatch.FromString(each).events
        )

    reader = asyncio.create_task(Consumer(broker, SPEC, "reader", note, DeadLetters(outbox)).run())
    late = await psycopg.AsyncConnection.connect(servers.postgres.url)
    prompt = await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True)
    try:
        await append(prompt, "first")
        await append(late, "late")  # committed below
        await append(prompt, "last")
        with pytest.raises(DiedError):
            await Relay(outbox, cast(Stream, DiesAfterPublishing(broker)), [SPEC]).publish_some(SPEC.subject)
        await becomes(distinct(read), {"first", "last"})
        await late.commit()
        assert await Relay(outbox, broker, [SPEC]).publish_some(SPEC.subject) == 3
        await becomes(distinct(read), {"first", "late", "last"})
        assert await Relay(outbox, broker, [SPEC]).publish_some(SPEC.subject) == 0
    finally:
        reader.cancel()
        await late.close()
        await prompt.close()


async def test_a_stream_that_takes_nothing_holds_up_no_other(
    servers: Servers, broker: Stream, outbox: Database
) -> None:
    await broker.ensure(SPEC)
    nowhere = replace(SPEC, name="RELAY_NOWHERE", subject="relay.nowhere")  # nobody makes it
    read: list[str] = []

    async def note(payloads: Sequence[bytes]) -> None:
        read.extend(
            event.event_id for each in payloads for event in events_pb2.RewardEventBatch.FromString(each).events
        )

    reader = asyncio.create_task(Consumer(broker, SPEC, "reader", note, DeadLetters(outbox)).run())
    conn = await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True)
    try:
        for number in range(RELAY_BATCH):
            await append(conn, f"nowhere-{number}", nowhere)
        await append(conn, "behind")
        relay = asyncio.create_task(Relay(outbox, broker, [nowhere, SPEC]).run())
        try:
            await becomes(distinct(read), {"behind"})
        finally:
            relay.cancel()
    finally:
        reader.cancel()
        await conn.execute(f"DELETE FROM {SCHEMA}.outbox".encode())
        await conn.close()


async def append(conn: psycopg.AsyncConnection[tuple[object, ...]], event_id: str, spec: StreamSpec = SPEC) -> None:
    """Adds an event to the outbox."""
    payload = events_pb2.RewardEventBatch(events=[events_pb2.RewardEvent(event_id=event_id)]).SerializeToString()
    statement = f"INSERT INTO {SCHEMA}.outbox (subject, message_id, message_type, payload) VALUES (%s, %s, 'test', %s)"
    await conn.execute(
        statement.encode(),
        [spec.subject, event_id, payload],
    )


def distinct(read: list[str]) -> Callable[[], Awaitable[set[str]]]:
    """Tells what was read so far."""

    async def now() -> set[str]:
        return set(read)

    return now
