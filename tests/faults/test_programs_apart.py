"""Facts of one program that wait or fail do nothing to those of others that came with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from chassis.consumer import Consumer
from chassis.dead_letters import MAX_ATTEMPTS, DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from services.rewards.consumer import ConversionEvents
from tests.conftest import Servers
from tests.e2e.conftest import OpenProgram
from tests.e2e.world import World
from tests.flow import DRAIN_SECONDS, becomes
from tests.integration.rewards.conftest import message, recorded
from tests.running import Running

SPEC = StreamSpec("APART_TEST", "apart.test", ("apart_test",), 10 * 1024 * 1024)
QUICKLY = (0.02,)
SLOWLY = (3.0,)
"""All tries of a message take longer than a program rests at most."""
"""The pause between tries; the services wait up to a minute."""

Connection = psycopg.AsyncConnection[tuple[object, ...]]
Handle = Callable[[Sequence[bytes]], Awaitable[None]]


@dataclass
class Reader:
    """A consumer of rewards on a stream of the test's own, and what it was given."""

    broker: Stream
    handle: Handle
    dead_letters: DeadLetters
    owner: Connection
    batches: list[Sequence[bytes]]

    async def publish(self, *payloads: bytes) -> None:
        """Publishes messages, in this order."""
        for each in payloads:
            await self.broker.publish(Message(SPEC.subject, uuid4().hex, "test", each))

    def consumer(self, retry_seconds: tuple[float, ...] = QUICKLY) -> Consumer:
        """A consumer that is not running."""

        async def handle(payloads: Sequence[bytes]) -> None:
            self.batches.append(payloads)
            await self.handle(payloads)

        return Consumer(self.broker, SPEC, "apart_test", handle, self.dead_letters, retry_seconds=retry_seconds)

    @asynccontextmanager
    async def reading(self, retry_seconds: tuple[float, ...] = QUICKLY) -> AsyncIterator[None]:
        """Reads meanwhile."""
        work = asyncio.create_task(self.consumer(retry_seconds).run())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def parked(self) -> list[tuple[object, ...]]:
        """(attempts, error) of each message that was set aside."""
        rows = await self.owner.execute(
            b"SELECT attempts, error FROM rewards.dead_letter WHERE park_time IS NOT NULL AND consumer = 'apart_test'"
        )
        return await rows.fetchall()

    async def waiting(self) -> int:
        """How many messages are not acknowledged."""
        return await self.broker.pending(SPEC, "apart_test")

    def told(self, payload: bytes) -> int:
        """How often a message was given to the handler."""
        return sum(payload in each for each in self.batches)


@pytest_asyncio.fixture
async def reader(rewards: Running, broker: Stream, servers: Servers) -> AsyncIterator[Reader]:
    """A reader of an empty stream. What it set aside is removed, for every audit would tell of it."""
    await broker.ensure(SPEC)
    deps = rewards.service.deps
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as owner:
        yield Reader(broker, ConversionEvents(deps).handle, DeadLetters(deps.database), owner, [])
        await owner.execute(b"DELETE FROM rewards.dead_letter WHERE consumer = 'apart_test'")


@asynccontextmanager
async def locked(servers: Servers, program_id: str) -> AsyncIterator[None]:
    """Holds the lock of a program's plan: whatever is settled for it waits, and fails after a while."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('plan:' || %s, 0))", [program_id])
        yield


async def settled_count(world: World) -> int:
    """How many conversions of the program were settled."""
    return (await world.totals()).conversion_count


async def test_a_program_that_waits_holds_up_no_other(opened: OpenProgram, reader: Reader, servers: Servers) -> None:
    slow, quick = await opened("three-levels.yaml"), await opened("three-levels.yaml")
    slow_orders = [message(recorded(slow.program_id, f"o{n}", 10_000)) for n in range(10)]
    quick_orders = [message(recorded(quick.program_id, f"o{n}", 10_000)) for n in range(10)]
    both = message(recorded(slow.program_id, "both", 10_000), recorded(quick.program_id, "both", 10_000))
    await reader.publish(both, *(each for pair in zip(slow_orders, quick_orders, strict=True) for each in pair))
    async with locked(servers, slow.program_id), reader.reading(SLOWLY):
        await becomes(lambda: settled_count(quick), 11)
        # Its messages were acknowledged in the same round: they never come again.
        await becomes(reader.waiting, 11)
        assert {reader.told(each) for each in quick_orders} == {1}
        # What comes meanwhile waits for nobody: the program that waited in vain rests.
        began = len(reader.batches)
        await reader.publish(message(recorded(quick.program_id, "later", 10_000)))
        await becomes(lambda: settled_count(quick), 12)
        assert len(reader.batches) > began
        assert await settled_count(slow) == 0
    async with reader.reading(SLOWLY):
        await becomes(lambda: settled_count(slow), 11, DRAIN_SECONDS)  # it may rest for half a minute
        await becomes(reader.waiting, 0)
    assert await reader.parked() == []
    assert await slow.audit() == await quick.audit() == []


async def test_what_waits_in_vain_for_ten_minutes_is_set_aside(
    opened: OpenProgram, reader: Reader, servers: Servers
) -> None:
    slow, quick = await opened("three-levels.yaml"), await opened("three-levels.yaml")
    await reader.publish(
        message(recorded(slow.program_id, "o1", 10_000)), message(recorded(quick.program_id, "o1", 10_000))
    )

    async def parked() -> list[tuple[object, str]]:
        return [(attempts, str(error).split(":")[0]) for attempts, error in await reader.parked()]

    async with locked(servers, slow.program_id), reader.reading():
        await becomes(parked, [(MAX_ATTEMPTS, "LockNotAvailable")])
        await becomes(reader.waiting, 0)
    assert await settled_count(quick) == 1


async def test_while_the_database_is_away_nothing_is_counted(
    opened: OpenProgram, reader: Reader, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes, no message is given up for it: it stays in hand, and is not even delivered again."""
    world = await opened("three-levels.yaml")
    order = message(recorded(world.program_id, "o1", 10_000))
    monkeypatch.setattr("chassis.consumer.RETRY_SECONDS", QUICKLY * 2)

    async def tries() -> bool:
        return reader.told(order) > 2 * MAX_ATTEMPTS

    await reader.owner.execute(b"ALTER TABLE rewards.dead_letter RENAME TO dead_letter_gone")
    try:
        handle = reader.handle

        async def refuse(payloads: Sequence[bytes]) -> None:
            raise psycopg.errors.UndefinedTable("no such table")

        reader.handle = refuse
        await reader.publish(order)
        async with reader.reading():
            await becomes(tries, True)
            reader.handle = handle  # before the database is able again, when what is refused would be counted
            await reader.owner.execute(b"ALTER TABLE rewards.dead_letter_gone RENAME TO dead_letter")
            await becomes(lambda: settled_count(world), 1)
            await becomes(reader.waiting, 0)
    finally:
        await reader.owner.execute(b"ALTER TABLE IF EXISTS rewards.dead_letter_gone RENAME TO dead_letter")
    counted = await reader.owner.execute(b"SELECT 1 FROM rewards.dead_letter WHERE consumer = 'apart_test'")
    assert await counted.fetchall() == []
