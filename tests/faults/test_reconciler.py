"""The reconciler against a reader that has what a test says."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import nats
import psycopg
import pytest
import pytest_asyncio
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from upline.rewards.v1 import events_pb2

from chassis import reconciler as reconciler_module
from chassis.answering import Reader
from chassis.comparison import Fact
from chassis.database import Database
from chassis.reconciler import BATCH_GAPS, Batches, Reconciler
from chassis.relay import Relay
from chassis.stream import Stream
from chassis.topology import StreamSpec
from services.rewards.events import only, told_facts
from tests.conftest import Servers

SCHEMA = "reconciler_test"
SPEC = StreamSpec("RECONCILED_TEST", "reconciled.test", ("reconciled",), 10 * 1024 * 1024)
(READER,) = SPEC.consumers
PROGRAM = "program"
FAILING = 30
TABLES = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.outbox (LIKE rewards.outbox INCLUDING ALL);
CREATE TABLE {SCHEMA}.reconciliation (LIKE rewards.reconciliation INCLUDING ALL);
CREATE TABLE {SCHEMA}.gap (LIKE rewards.gap INCLUDING ALL);
CREATE TABLE {SCHEMA}.dead_letter (LIKE rewards.dead_letter INCLUDING ALL);
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
        batches = Batches(told_facts, only)
        return Reconciler(self.database, self.stream, SPEC, READER, batches, pause_seconds=0.0, batch_seconds=0.5)

    async def record(self, *event_ids: str, conn: psycopg.AsyncConnection[Any] | None = None) -> None:
        """Adds a row to the outbox, with so many events."""
        statement = "INSERT INTO outbox (subject, message_id, message_type, payload) VALUES (%s, %s, 'test', %s)"
        await (conn or self.owner).execute(statement, [SPEC.subject, event_ids[0], batch(*event_ids)])

    async def publish(self) -> None:
        """Publishes what is not published."""
        await Relay(self.database, self.stream).publish_some()

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

    async def settled_of(self, _: object, facts: Sequence[Fact]) -> set[Fact]:
        """The reader's answer."""
        return {each for each in facts if each.event_id in self.settled}

    async def gaps(self) -> dict[str, bool]:
        """The gaps, each with whether it is closed."""
        rows = await self.owner.execute("SELECT event_id, close_time IS NOT NULL FROM gap")
        return dict(await rows.fetchall())

    async def compared(self) -> int:
        """The number of rows that were compared."""
        rows = await self.owner.execute(
            "SELECT count(*) FROM outbox WHERE outbox_id <= (SELECT max(settled_id) FROM reconciliation)"
        )
        return int((await rows.fetchone() or (0,))[0])


def batch(*event_ids: str) -> bytes:
    """A message with events of these ids."""
    events = [events_pb2.RewardEvent(program_id=PROGRAM, event_id=each) for each in event_ids]
    return events_pb2.RewardEventBatch(events=events).SerializeToString()


@pytest_asyncio.fixture
async def empty(servers: Servers) -> AsyncIterator[Apparatus]:
    """Nothing was recorded; the reader does not answer yet."""
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


@pytest_asyncio.fixture
async def apparatus(empty: Apparatus) -> Apparatus:
    """Nothing was recorded; the reader answers."""
    await Reader(empty.database, empty.stream, READER, cast(Any, empty.settled_of), told_facts).listen()
    return empty


async def test_a_row_that_is_committed_late_is_neither_a_gap_nor_passed_over(apparatus: Apparatus) -> None:
    options = f"-c search_path={SCHEMA}"
    late = await psycopg.AsyncConnection.connect(apparatus.servers.postgres.url, options=options)
    reconciler = apparatus.reconciler
    try:
        await apparatus.record("late", conn=late)  # has its id, and is committed below
        await apparatus.record("prompt")
        await apparatus.publish()
        apparatus.settled |= set(await apparatus.read())
        await reconciler.reconcile()
        assert await apparatus.compared() == 0
        await late.commit()
        await apparatus.publish()
        await reconciler.reconcile()
        assert await apparatus.compared() == 0  # the reader has not read it yet
        assert await apparatus.read() == ["late"]
        apparatus.settled.add("late")
        await reconciler.reconcile()
        assert await apparatus.compared() == 2
        assert await apparatus.gaps() == {}
    finally:
        await late.close()


async def test_what_waits_on_the_stream_is_no_gap(apparatus: Apparatus) -> None:
    reconciler = apparatus.reconciler
    await apparatus.record("waits")
    await reconciler.reconcile()  # not published yet
    await apparatus.publish()
    await reconciler.reconcile()  # on the stream
    assert (await apparatus.compared(), await apparatus.gaps()) == (0, {})


async def test_messages_that_fail_for_long_keep_nothing_else_from_being_compared(apparatus: Apparatus) -> None:
    for number in range(FAILING):
        await apparatus.record(f"fails-{number}")
        await apparatus.publish()
    await apparatus.jetstream.publish(SPEC.subject, b"nobody can read this")
    reconciler = apparatus.reconciler
    reconciler.held_seconds = 0.0
    for each in ("settled", "lost"):
        await apparatus.record(each)
        await apparatus.publish()
        await apparatus.lose_last()  # one of them as by its reader
    apparatus.settled.add("settled")
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (FAILING + 2, {"lost": False})


async def test_more_that_is_held_than_may_be_read_is_no_gap(
    apparatus: Apparatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = apparatus.reconciler
    reconciler.held_seconds = 0.0
    for number in range(2):
        await apparatus.record(f"fails-{number}")
        await apparatus.publish()
    for limit in ("HELD_MESSAGES", "HELD_BYTES"):
        with monkeypatch.context() as context:
            context.setattr(reconciler_module, limit, 1)
            await reconciler.reconcile()
        assert (await apparatus.compared(), await apparatus.gaps()) == (0, {})
    await reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (2, {})


async def test_a_message_that_is_held_keeps_nothing_from_being_published_again(
    apparatus: Apparatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "RETRY_BASE_SECONDS", 0.0)
    await apparatus.record("held")
    await apparatus.publish()
    reconciler = apparatus.reconciler
    reconciler.held_seconds = 0.0
    for each in ("first", "second"):
        await apparatus.record(each)
        await apparatus.publish()
        await apparatus.lose_last()
        await reconciler.reconcile()
        assert await apparatus.published() == 2  # with the one that is held
        await reconciler.reconcile()
        assert await apparatus.published() == 2  # waits for its batch to be gone
        await apparatus.lose_last()
    assert await apparatus.gaps() == {"first": False, "second": False}


async def test_a_reader_that_does_not_answer_has_no_gap(empty: Apparatus) -> None:
    await empty.record("unknown")
    await empty.publish()
    await empty.lose_stream()
    await empty.reconciler.reconcile()
    assert (await empty.compared(), await empty.gaps()) == (0, {})


async def test_exactly_what_is_missing_is_published_again_until_the_reader_has_it(apparatus: Apparatus) -> None:
    await apparatus.record("one", "two", "three")
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled |= {"one", "three"}
    reconciler = apparatus.reconciler
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": False}
    assert await apparatus.read() == ["two"]
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": False}  # sent and read is not settled
    apparatus.settled.add("two")
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"two": True}


async def test_a_lost_stream_costs_what_was_under_way_only(apparatus: Apparatus) -> None:
    for number in range(3):
        await apparatus.record(f"settled-{number}")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    await apparatus.reconciler.reconcile()
    await apparatus.record("under-way")
    await apparatus.publish()
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    assert await apparatus.gaps() == {"under-way": False}
    assert await apparatus.read() == ["under-way"]


async def test_what_is_set_aside_is_no_gap(apparatus: Apparatus) -> None:
    await apparatus.record("set-aside", "settled")
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled.add("settled")
    await apparatus.owner.execute(
        "INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)"
        " VALUES (%s, 'letter', %s, %s, 'error', now()), (%s, 'unreadable', %s, %s, 'error', now())",
        [READER, SPEC.subject, batch("set-aside", "settled"), READER, SPEC.subject, batch()],
    )
    await apparatus.reconciler.reconcile()
    assert (await apparatus.compared(), await apparatus.gaps()) == (1, {})


async def test_what_a_reader_has_lost_is_found_when_it_is_asked_again(apparatus: Apparatus) -> None:
    """As after a failover to a database that lacks the last commits."""
    await apparatus.record("lost", "kept")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    reconciler = apparatus.reconciler
    await reconciler.reconcile()
    apparatus.settled.remove("lost")
    await reconciler.reconcile()
    assert await apparatus.gaps() == {}
    reconciler.again_after = timedelta(0)
    await reconciler.reconcile()
    assert await apparatus.gaps() == {"lost": False}


async def test_a_new_event_waits_behind_one_batch_at_most(apparatus: Apparatus) -> None:
    events = [f"event-{number}" for number in range(2 * BATCH_GAPS)]
    for each in events:
        await apparatus.record(each)
    await apparatus.publish()
    await apparatus.publish()
    await apparatus.lose_stream()
    reconciler = apparatus.reconciler
    await reconciler.reconcile()  # names the gaps, publishes a batch, and waits in vain for it to be read
    await apparatus.record("new")
    await apparatus.publish()
    sent = await apparatus.read()
    assert sent == [*events[:BATCH_GAPS], "new"]
    apparatus.settled |= set(sent)
    await reconciler.reconcile()
    assert await apparatus.read() == events[BATCH_GAPS:]


async def test_what_is_recorded_goes_ahead_of_what_is_published_again(apparatus: Apparatus) -> None:
    await apparatus.record("gap")
    await apparatus.publish()
    await apparatus.read()
    reconciler = apparatus.reconciler
    await apparatus.record("new")
    await reconciler.reconcile()
    assert await apparatus.read() == []


async def test_rows_are_kept_until_the_reader_has_them(apparatus: Apparatus) -> None:
    for each in ("settled", "gap"):
        await apparatus.record(each)
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled.add("settled")
    await apparatus.owner.execute("UPDATE outbox SET publish_time = publish_time - interval '8 days'")
    reconciler = apparatus.reconciler
    assert await reconciler.purge() == 0
    await reconciler.reconcile()
    assert await reconciler.purge() == 1
    apparatus.settled.add("gap")
    await reconciler.reconcile()
    assert await reconciler.purge() == 1


async def test_a_stream_that_is_missing_is_made(apparatus: Apparatus) -> None:
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    try:
        await apparatus.jetstream.consumer_info(SPEC.name, READER)
    except NotFoundError as error:
        raise AssertionError("nobody made the consumer") from error
