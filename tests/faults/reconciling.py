"""An owner with an outbox, a stream, and a reader that has what a test says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast

import nats
import psycopg
from nats.js import JetStreamContext
from upline.rewards.v1 import events_pb2

from chassis.answering import Reader
from chassis.asking import AskedReader, Batches
from chassis.comparison import Fact
from chassis.database import Database
from chassis.reconciler import Reconciler
from chassis.relay import Relay
from chassis.stream import Stream
from chassis.topology import StreamSpec
from services.rewards.events import only, told_facts
from tests.conftest import Servers

SCHEMA = "reconciler_test"
SPEC = StreamSpec("RECONCILED_TEST", "reconciled.test", ("reconciled",), 10 * 1024 * 1024)
(READER,) = SPEC.consumers
PROGRAM = "program"
TABLES = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.outbox (LIKE rewards.outbox INCLUDING ALL);
CREATE TABLE {SCHEMA}.reconciliation (LIKE rewards.reconciliation INCLUDING ALL);
CREATE TABLE {SCHEMA}.supply (LIKE rewards.supply INCLUDING ALL);
CREATE TABLE {SCHEMA}.gap (LIKE rewards.gap INCLUDING ALL);
CREATE TABLE {SCHEMA}.dead_letter (LIKE rewards.dead_letter INCLUDING ALL);
CREATE TABLE {SCHEMA}.dead_letter_fact (LIKE rewards.dead_letter_fact INCLUDING ALL);
ALTER TABLE {SCHEMA}.dead_letter_fact
    ADD FOREIGN KEY (consumer, message_id) REFERENCES {SCHEMA}.dead_letter ON DELETE CASCADE;
"""


@dataclass
class Apparatus:
    """An owner with an outbox, a stream, and a reader that has what a test says."""

    servers: Servers
    database: Database
    stream: Stream
    jetstream: JetStreamContext
    owner: psycopg.AsyncConnection[Any]
    settled: set[str] = field(default_factory=set)

    @property
    def reconciler(self) -> Reconciler:
        """A process that begins to compare."""
        reader = AskedReader(self.stream, SPEC, READER, Batches(told_facts, only), let_go_seconds=0.5)
        return Reconciler(self.database, reader, pause_seconds=0.0)

    async def record(
        self, *event_ids: str, conn: psycopg.AsyncConnection[Any] | None = None, subject: str = SPEC.subject
    ) -> None:
        """Adds a row to the outbox, with so many events."""
        statement = "INSERT INTO outbox (subject, message_id, message_type, payload) VALUES (%s, %s, 'test', %s)"
        await (conn or self.owner).execute(statement, [subject, event_ids[0], batch(*event_ids)])

    async def publish(self) -> None:
        """Publishes what is not published."""
        await Relay(self.database, self.stream, [SPEC]).publish_some(SPEC.subject)

    async def read(self) -> list[str]:
        """Reads what is on the stream; returns the ids of the events, without settling them."""
        subscription = await self.jetstream.pull_subscribe_bind(consumer=READER, stream=SPEC.name)
        read = []
        while (await self.jetstream.stream_info(SPEC.name)).state.messages:
            for message in await subscription.fetch(100, timeout=5):
                read += [each.event_id for each in told_facts(message.data)]
                await message.ack_sync()
        await subscription.unsubscribe()
        return read

    async def published(self) -> int:
        """The number of messages on the stream."""
        return int((await self.jetstream.stream_info(SPEC.name)).state.messages)

    async def lose_last(self) -> None:
        """The stream lets go of its last message."""
        last = (await self.jetstream.stream_info(SPEC.name)).state.last_seq
        await self.jetstream.delete_msg(SPEC.name, last)

    async def lose_stream(self) -> None:
        """The broker loses the stream."""
        await self.jetstream.delete_stream(SPEC.name)

    async def answer(self) -> None:
        """The reader answers from now on."""
        await Reader(self.database, self.stream, READER, cast(Any, self.settled_of), told_facts).listen()

    async def settled_of(self, _: object, facts: Sequence[Fact]) -> set[Fact]:
        """Those among facts that the reader has."""
        return {each for each in facts if each.event_id in self.settled}

    async def gaps(self) -> dict[str, bool]:
        """The gaps, each with whether it is closed."""
        rows = await self.owner.execute("SELECT event_id, close_time IS NOT NULL FROM gap")
        return dict(await rows.fetchall())

    async def compared(self, column: LiteralString = "settled_id") -> int:
        """The number of rows that were compared."""
        rows = await self.owner.execute(
            f"SELECT count(*) FROM outbox WHERE outbox_id <= (SELECT max({column}) FROM reconciliation)"
        )
        return int((await rows.fetchone() or (0,))[0])


def batch(*event_ids: str) -> bytes:
    """A message with events of these ids."""
    events = [events_pb2.RewardEvent(program_id=PROGRAM, event_id=each) for each in event_ids]
    return events_pb2.RewardEventBatch(events=events).SerializeToString()


@asynccontextmanager
async def new_apparatus(servers: Servers) -> AsyncIterator[Apparatus]:
    """An apparatus in which nothing was recorded, and the reader does not answer yet."""
    options = f"-c search_path={SCHEMA}"
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True, options=options) as conn:
        await conn.execute(TABLES.encode())
        database = Database(servers.postgres.url, SCHEMA)
        stream = await Stream.connect(servers.nats.url, "reconciler", specs=[SPEC])
        client = await nats.connect(servers.nats.url)
        try:
            yield Apparatus(servers, database, stream, client.jetstream(), conn)
        finally:
            await stream.close()
            await client.jetstream().delete_stream(SPEC.name)
            await client.close()
            await database.close()
            await conn.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
