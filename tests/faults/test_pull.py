"""Messages are handed on when they arrive, by whichever reader is free: none waits for company, or for a busy
process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

import nats
import pytest
import pytest_asyncio
from nats.js import JetStreamContext

from chassis import stream as chassis_stream
from chassis.consumer import Consumer
from chassis.dead_letters import DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from tests.conftest import Servers
from tests.flow import becomes

SPEC = StreamSpec("PULL_TEST", "pull.test", ("reader",), 10 * 1024 * 1024)
SHORT_SECONDS = 0.2
"""The time after which a request for messages ends: short, so that many end while a test runs."""
REQUESTS = 25
LONG_SECONDS = 600.0
"""Longer than any test waits: what would have to wait for it fails the test."""


@pytest_asyncio.fixture
async def jetstream(servers: Servers, broker: Stream) -> AsyncIterator[JetStreamContext]:
    """The broker as its owner sees it, with the stream of this test."""
    client = await nats.connect(servers.nats.url)
    await broker.ensure(SPEC)
    yield client.jetstream()
    await client.jetstream().delete_stream(SPEC.name)
    await client.close()


@dataclass
class Handler:
    """Notes what it was given, and can be held up."""

    payloads: list[bytes] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, payloads: Sequence[bytes]) -> None:
        """Handles a batch."""
        self.payloads += payloads
        await self.free.wait()

    async def seen(self) -> int:
        """How many messages came."""
        return len(self.payloads)


@asynccontextmanager
async def reading(broker: Stream, expires_seconds: float, *, busy: bool = False) -> AsyncIterator[Handler]:
    """A reader at work; a busy one comes to no end with its first batch."""
    handler = Handler()
    if not busy:
        handler.free.set()
    consumer = Consumer(
        broker, SPEC, "reader", handler, cast(DeadLetters, None), fetch_messages=64, expires_seconds=expires_seconds
    )
    work = asyncio.create_task(consumer.run())
    try:
        yield handler
    finally:
        work.cancel()
        await asyncio.wait([work])


async def publish(broker: Stream, count: int) -> None:
    """Publishes messages, one after the other."""
    for _ in range(count):
        await broker.publish(Message(SPEC.subject, uuid4().hex, "test", b"x"))


async def test_a_reader_has_one_request_open_however_often_its_requests_end(
    broker: Stream, jetstream: JetStreamContext
) -> None:
    """With two requests open, a message that comes by one of them would be held until the other has ended."""
    async with reading(broker, SHORT_SECONDS):
        ends = asyncio.get_running_loop().time() + REQUESTS * SHORT_SECONDS
        most = 0
        while asyncio.get_running_loop().time() < ends:
            most = max(most, (await jetstream.consumer_info(SPEC.name, "reader")).num_waiting or 0)
        assert most == 1


async def test_a_lone_message_is_handed_on_while_its_request_could_wait_for_more(
    broker: Stream, jetstream: JetStreamContext
) -> None:
    async with reading(broker, LONG_SECONDS) as handler:
        for number in range(1, 4):
            await publish(broker, 1)
            await becomes(handler.seen, number)


async def test_what_comes_while_a_reader_works_goes_to_another(broker: Stream, jetstream: JetStreamContext) -> None:
    async with reading(broker, LONG_SECONDS, busy=True) as busy:
        await publish(broker, 1)
        await becomes(busy.seen, 1)
        async with reading(broker, LONG_SECONDS) as free:
            await publish(broker, 10)
            await becomes(free.seen, 10)


async def test_a_reader_that_stops_hands_back_what_it_had_in_hand(
    servers: Servers, broker: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the messages come again only after the broker has taken the reader for dead."""
    monkeypatch.setattr(chassis_stream, "ACK_WAIT_SECONDS", LONG_SECONDS)
    client = await nats.connect(servers.nats.url)
    try:
        await broker.ensure(SPEC)
        async with reading(broker, LONG_SECONDS, busy=True) as busy:
            await publish(broker, 1)
            await becomes(busy.seen, 1)
            await publish(broker, 2)
        async with reading(broker, LONG_SECONDS) as free:
            await becomes(free.seen, 3)
    finally:
        await client.jetstream().delete_stream(SPEC.name)
        await client.close()


async def test_a_batch_is_what_is_there_up_to_the_limit(broker: Stream, jetstream: JetStreamContext) -> None:
    """Where much waits, one request brings much: what a transaction costs is shared by all in it."""
    await publish(broker, 150)
    pull = await broker.pull(SPEC, "reader")
    sizes = [len(await pull.next(64)) for _ in range(3)]
    await pull.close()
    assert sizes == [64, 64, 22]
