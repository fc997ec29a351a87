"""A message that no try mends is set aside after its tries, blocks nobody, and the audit tells of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import psycopg
import pytest_asyncio
from nats.aio.msg import Msg

from chassis.consumer import Consumer
from chassis.dead_letters import MAX_ATTEMPTS, About, DeadLetters, History
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from services.rewards.consumer import ConversionEvents
from tests.conftest import Servers
from tests.e2e.conftest import OpenProgram
from tests.flow import becomes
from tests.integration.rewards.conftest import message, recorded, reversed_
from tests.running import Running

SPEC = StreamSpec("POISON_TEST", "poison.test", ("poison_test",), 10 * 1024 * 1024)
QUICKLY = (0.02,)
"""Waits between tries; the services wait up to half a minute."""
ORDERS = 20

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class Stumbling:
    """Dead letters whose database is away at the first try, as when everything fails at once."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._stumbled = False

    async def give_up(self, consumer: str, message: Msg, error: Exception, about: About) -> bool:
        """Counts a failure, but not the first."""
        if not self._stumbled:
            self._stumbled = True
            raise psycopg.OperationalError("the server closed the connection")
        return await self._dead_letters.give_up(consumer, message, error, about)

    async def histories(self, consumer: str, messages: Sequence[Msg]) -> dict[str, History]:
        """How often each message has failed."""
        return await self._dead_letters.histories(consumer, messages)


@pytest_asyncio.fixture
async def owner(servers: Servers) -> AsyncIterator[Connection]:
    """The owner of the database; removes the dead letters of this test, of which every audit would tell."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        yield conn
        await conn.execute(b"DELETE FROM rewards.dead_letter WHERE consumer = 'poison_test'")


async def test_poison_is_set_aside_and_the_others_are_settled(
    opened: OpenProgram, rewards: Running, broker: Stream, owner: Connection
) -> None:
    world = await opened("three-levels.yaml")
    await broker.ensure(SPEC)
    deps = rewards.service.deps
    dead_letters = cast(DeadLetters, Stumbling(DeadLetters(deps.database)))
    consumer = Consumer(broker, SPEC, "poison_test", ConversionEvents(deps).handle, dead_letters, retry_seconds=QUICKLY)
    payloads = {f"order-{n}": message(recorded(world.program_id, f"order-{n}", 10_000)) for n in range(ORDERS)}
    payloads["poison-bytes"] = b"\xff\xff not an event"
    # More is taken back than there is: a fact that contradicts the others.
    payloads["poison-fact"] = message(reversed_(world.program_id, "order-0", "too-much", 10_001))
    messages = [Message(SPEC.subject, f"{world.program_id}:{name}", "test", each) for name, each in payloads.items()]
    poisoned = {f"{world.program_id}:poison-bytes", f"{world.program_id}:poison-fact"}

    async def parked() -> set[tuple[object, ...]]:
        rows = await owner.execute(
            b"SELECT message_id, attempts FROM rewards.dead_letter"
            b" WHERE park_time IS NOT NULL AND consumer = 'poison_test'"
        )
        return set(await rows.fetchall())

    async def settled_count() -> int:
        return (await world.totals()).conversion_count

    async def waiting() -> int:
        return await broker.pending(SPEC, "poison_test")

    await broker.publish(messages[0])
    work = asyncio.create_task(consumer.run())
    try:
        await becomes(settled_count, 1)
        # Poison comes first, so that it would block what stands behind it.
        await broker.publish_all(messages[:0:-1])
        await becomes(settled_count, ORDERS)
        await becomes(parked, {(each, MAX_ATTEMPTS) for each in poisoned})
        await becomes(waiting, 0)
    finally:
        work.cancel()
    assert await world.wallet("maria") == {"USD": (0, ORDERS * 500)}
    findings = await world.audit()
    assert {each.split(":")[0] for each in findings} == {f"DEAD_LETTER {world.program_id}"}
    assert len(findings) == len(poisoned)
