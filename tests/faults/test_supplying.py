"""A derived reader is supplied over a stream of its own, whatever becomes of it, of the stream and of the outbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import nats
import psycopg
import pytest
import pytest_asyncio
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import supplying
from chassis.database import Database
from chassis.reconciler import Reconciler
from chassis.stream import Message, Stream
from chassis.supplying import Supplier, Told
from chassis.tasks import cancel_all
from chassis.topology import StreamSpec, supply_stream
from services.rewards.events import told_facts
from tests.conftest import Servers
from tests.faults.reconciling import batch
from tests.flow import becomes

SCHEMA = "supply_test"
SOURCE = StreamSpec("SUPPLIED_TEST", "supplied.test", (), 10 * 1024 * 1024)
SUPPLY = supply_stream(SOURCE, "report")
(READER,) = SUPPLY.consumers
PAGE_FACTS = 2
TABLES = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.fact (fact_id bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL);
CREATE TABLE {SCHEMA}.outbox (LIKE rewards.outbox INCLUDING ALL);
CREATE TABLE {SCHEMA}.supply (LIKE rewards.supply INCLUDING ALL);
CREATE TABLE {SCHEMA}.reconciliation (LIKE rewards.reconciliation INCLUDING ALL);
CREATE TABLE {SCHEMA}.gap (LIKE rewards.gap INCLUDING ALL);
"""
_PAGE = text("SELECT fact_id, event_id FROM fact WHERE fact_id > :after ORDER BY fact_id LIMIT :limit")


async def history(conn: AsyncConnection, cursor: str) -> Told:
    """Tells the facts in the table, a few at a time."""
    rows = (await conn.execute(_PAGE, {"after": int(cursor or 0), "limit": PAGE_FACTS})).all()
    messages = [Message("any", "any", "test", batch(each.event_id)) for each in rows]
    return Told(messages, str(rows[-1].fact_id) if len(rows) == PAGE_FACTS else None)


@dataclass
class Owner:
    """An owner of facts, with a reader of its own choosing."""

    database: Database
    stream: Stream
    jetstream: JetStreamContext
    conn: psycopg.AsyncConnection[Any]
    read: list[str] = field(default_factory=list)
    """The events that the reader has, in the order in which it read them."""

    def supplier(self) -> Supplier:
        """A process that begins to supply."""
        return Supplier(self.database, self.stream, SOURCE, SUPPLY, history, pause_seconds=0.01)

    async def record(self, event_id: str, conn: psycopg.AsyncConnection[Any] | None = None) -> None:
        """Stores a fact, with its event."""
        await self._insert("fact (event_id)", [event_id], conn)
        row = [SOURCE.subject, event_id, "test", batch(event_id)]
        await self._insert("outbox (subject, message_id, message_type, payload)", row, conn)

    async def record_elsewhere(self) -> None:
        """Stores an event that is for another stream."""
        row = ["elsewhere.test", "other", "test", batch("other")]
        await self._insert("outbox (subject, message_id, message_type, payload)", row)

    async def _insert(self, into: str, values: list[object], conn: psycopg.AsyncConnection[Any] | None = None) -> None:
        places = ", ".join(["%s"] * len(values))
        await (conn or self.conn).execute(f"INSERT INTO {into} VALUES ({places})".encode(), values)

    async def take(self) -> None:
        """The reader reads what is on its stream, which it makes where it is missing."""
        await self.stream.ensure(SUPPLY)
        subscription = await self.jetstream.pull_subscribe_bind(consumer=READER, stream=SUPPLY.name)
        while (await subscription.consumer_info()).num_pending:
            for message in await subscription.fetch(100, timeout=5):
                self.read += [each.event_id for each in told_facts(message.data)]
                await message.ack_sync()
        await subscription.unsubscribe()

    async def waiting(self) -> int:
        """The number of messages on the reader's stream."""
        return int((await self.jetstream.stream_info(SUPPLY.name)).state.messages)

    async def standing(self) -> tuple[int, bool]:
        """How many rows the reader is known to have, and whether it is behind."""
        rows = await self.conn.execute(
            "SELECT (SELECT count(*) FROM outbox WHERE outbox_id <= supply.read_id), behind_since IS NOT NULL"
            " FROM supply"
        )
        count, is_behind = await rows.fetchone() or (0, False)
        return count, is_behind

    @asynccontextmanager
    async def supplied(self, suppliers: int = 1) -> AsyncIterator[None]:
        """Processes that supply, while the block runs."""
        running = [asyncio.create_task(self.supplier().run()) for _ in range(suppliers)]
        try:
            yield
        finally:
            await cancel_all(running)

    async def caught_up(self, *event_ids: str) -> list[str]:
        """Reads until the reader has all of these; returns what it read for that."""
        before = len(self.read)

        async def lacking() -> set[str]:
            await self.take()
            return set(event_ids) - set(self.read[before:])

        await becomes(lacking, set())
        return self.read[before:]


@pytest_asyncio.fixture
async def owner(servers: Servers) -> AsyncIterator[Owner]:
    """An owner with no facts yet."""
    options = f"-c search_path={SCHEMA}"
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True, options=options) as conn:
        await conn.execute(TABLES.encode())
        database = Database(servers.postgres.url, SCHEMA)
        stream = await Stream.connect(servers.nats.url, "supplier", specs=[SOURCE, SUPPLY])
        client = await nats.connect(servers.nats.url)
        try:
            yield Owner(database, stream, client.jetstream(), conn)
        finally:
            await stream.close()
            for spec in (SOURCE, SUPPLY):
                with suppress(NotFoundError):
                    await client.jetstream().delete_stream(spec.name)
            await client.close()
            await database.close()
            await conn.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())


async def test_a_new_reader_is_told_the_tables_and_then_the_outbox(owner: Owner) -> None:
    old = [f"old-{number}" for number in range(5)]
    for each in old:
        await owner.record(each)
    await owner.conn.execute("DELETE FROM outbox")
    await owner.record_elsewhere()
    async with owner.supplied():
        assert await owner.caught_up(*old) == old
        await owner.record("new")
        await owner.record_elsewhere()
        await owner.record("newer")
        assert await owner.caught_up("newer") == ["new", "newer"]
        await becomes(owner.standing, (4, False))


async def test_a_reader_that_is_away_holds_up_nobody_and_misses_nothing(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supplying, "SUPPLY_MESSAGES", 3)
    supplier = owner.supplier()
    names = [f"fact-{number}" for number in range(20)]
    for each in names:
        await owner.record(each)
        for _ in range(4):
            await supplier.send_some()
        assert await owner.waiting() <= 3
    assert (await owner.standing())[1]
    async with owner.supplied():
        assert list(dict.fromkeys(await owner.caught_up(*names))) == names
        await becomes(owner.standing, (20, False))


async def test_a_lost_stream_costs_what_was_not_read(owner: Owner) -> None:
    async with owner.supplied():
        await owner.record("read")
        await owner.caught_up("read")
        await becomes(owner.standing, (1, False))
        await owner.record("unread")
        await becomes(owner.waiting, 1)
        await owner.jetstream.delete_stream(SUPPLY.name)
        await owner.record("after")
        assert await owner.caught_up("unread", "after") == ["unread", "after"]


async def test_a_consumer_that_is_gone_costs_nothing(owner: Owner) -> None:
    async with owner.supplied():
        await owner.record("read")
        await owner.caught_up("read")
        await becomes(owner.standing, (1, False))
        await owner.jetstream.delete_consumer(SUPPLY.name, READER)
        await owner.record("unread")
        await becomes(owner.waiting, 1)
        await owner.stream.ensure(SUPPLY)  # as the reader does when it misses its consumer
        assert await owner.caught_up("unread") == ["unread"]


async def test_a_stream_that_is_lost_amid_the_history_begins_anew(owner: Owner) -> None:
    names = [f"fact-{number}" for number in range(5)]
    for each in names:
        await owner.record(each)
    supplier = owner.supplier()
    while not await owner.waiting():
        await supplier.send_some()
    await owner.jetstream.delete_stream(SUPPLY.name)
    async with owner.supplied():
        assert set(await owner.caught_up(*names)) == set(names)


async def test_a_reader_that_was_away_until_rows_were_removed_is_told_the_tables(owner: Owner) -> None:
    async with owner.supplied():
        await owner.record("before")
        await owner.caught_up("before")
        await becomes(owner.standing, (1, False))
    await owner.record("meanwhile")  # while nobody supplies
    await owner.conn.execute("UPDATE outbox SET publish_time = now() - interval '8 days'")
    await owner.conn.execute(
        "INSERT INTO reconciliation (consumer, settled_id, look_time) VALUES ('other', 1000000, now())"
    )
    await owner.record("kept")
    assert await Reconciler(owner.database, cast(Any, None)).purge() == 2
    async with owner.supplied():
        told = await owner.caught_up("before", "meanwhile", "kept")
        await becomes(owner.standing, (1, False))
    assert told[:3] == ["before", "meanwhile", "kept"]


async def test_what_is_committed_late_is_not_passed_over(owner: Owner, servers: Servers) -> None:
    options = f"-c search_path={SCHEMA}"
    async with owner.supplied():
        await owner.record("first")
        await owner.caught_up("first")
        late = await psycopg.AsyncConnection.connect(servers.postgres.url, options=options)
        try:
            await owner.record("late", late)
            await owner.record("prompt")
            supplier = owner.supplier()
            for _ in range(5):
                await supplier.send_some()
            assert await owner.waiting() == 0
            await late.commit()
        finally:
            await late.close()
        assert await owner.caught_up("late", "prompt") == ["late", "prompt"]


async def test_several_processes_supply_in_turn(owner: Owner) -> None:
    names = [f"fact-{number}" for number in range(60)]
    async with owner.supplied(suppliers=3):
        await owner.record("begin")
        await owner.caught_up("begin")
        await becomes(owner.standing, (1, False))
        for each in names:
            await owner.record(each)
        assert await owner.caught_up(*names) == names


async def test_nothing_is_written_while_there_is_nothing_to_send(owner: Owner) -> None:
    async with owner.supplied():
        await owner.record("one")
        await owner.caught_up("one")
        await becomes(owner.standing, (1, False))
    versions = partial(owner.conn.execute, "SELECT xmin, xmax FROM supply")
    before = await (await versions()).fetchone()
    supplier = owner.supplier()
    for _ in range(5):
        assert not await supplier.send_some()
    assert await (await versions()).fetchone() == before


def test_the_stream_of_a_reader_is_its_own() -> None:
    assert (SUPPLY.name, SUPPLY.subject) == ("SUPPLIED_TEST_REPORT", "supplied.test.report")
    assert SUPPLY.consumers == ("report_supplied_test",)
