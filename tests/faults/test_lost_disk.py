"""A broker that lost its disk: everything it had comes back within seconds, made by whoever misses it first."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import grpc
import nats
import psycopg
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

from chassis.clock import ManualClock
from chassis.consumer import Consumer
from chassis.dead_letters import DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import CLICKS, CONVERSIONS, PEOPLE, REWARDS, StreamSpec
from tests.conftest import Servers
from tests.faults.apart import apart, health
from tests.flow import becomes

SPECS = (CLICKS, CONVERSIONS, PEOPLE, REWARDS)
SPEC = StreamSpec("LOST_TEST", "lost.test", ("reader",), 10 * 1024 * 1024)
CLICK_SERVICE = "upline.attribution.v1.ClickService"


def lose_disk(servers: Servers) -> None:
    """The broker dies, and comes back with nothing."""
    servers.nats.kill()
    shutil.rmtree(servers.nats.store / "jetstream")
    servers.nats.start()


async def missing(servers: Servers) -> list[str]:
    """The streams that the broker lacks, or consumers of which it lacks."""
    client = await nats.connect(servers.nats.url)
    absent = []
    for spec in SPECS:
        try:
            await client.jetstream().stream_info(spec.name)
            for durable in spec.consumers:
                await client.jetstream().consumer_info(spec.name, durable)
        except JetStreamError:
            absent.append(spec.name)
    await client.close()
    return absent


async def clicks_stored(servers: Servers) -> int:
    """How many clicks the database has."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        row = await (await conn.execute("SELECT count(*) FROM attribution.click")).fetchone()
    return row[0] if row else 0


async def dead_letters(servers: Servers) -> int:
    """How many messages failed, the empty ones included by which it is tried whether the broker stores."""
    services = ("attribution", "rewards", "notify")
    counts = " + ".join(f"(SELECT count(*) FROM {service}.dead_letter)" for service in services)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        row = await (await conn.execute(f"SELECT {counts}".encode())).fetchone()
    return row[0] if row else 0


async def test_all_comes_back_and_what_is_acknowledged_is_kept(tmp_path: Path, clock: ManualClock) -> None:
    async with apart(tmp_path, clock, attributions=2) as everything:
        first, second = everything.attributions
        assert await everything.click(first) == grpc.StatusCode.OK
        await everything.world.record([everything.world.order("before", "vera", 10_000)])
        await everything.world.drained()
        lose_disk(everything.servers)
        await everything.world.record([everything.world.order("after", "vera", 10_000)])
        await becomes(partial(everything.click, first), grpc.StatusCode.OK)
        await becomes(partial(everything.click, second), grpc.StatusCode.OK)
        await becomes(partial(missing, everything.servers), [])
        for attribution in everything.attributions:
            await becomes(partial(health, attribution, CLICK_SERVICE), "SERVING")
        await everything.world.drained()
        assert await everything.world.wallet("maria") == {"USD": (0, 2 * 500)}
        await becomes(partial(clicks_stored, everything.servers), 3)
        assert await dead_letters(everything.servers) == 0


@asynccontextmanager
async def one_stream(servers: Servers) -> AsyncIterator[tuple[Stream, JetStreamContext]]:
    """A connection that is to keep a stream of its own there, and the broker as its owner sees it."""
    stream = await Stream.connect(servers.nats.url, "keeper", specs=[SPEC])
    client = await nats.connect(servers.nats.url)
    try:
        yield stream, client.jetstream()
    finally:
        await client.jetstream().delete_stream(SPEC.name)
        await client.close()
        await stream.close()


async def test_a_publisher_makes_the_stream_that_it_misses(servers: Servers) -> None:
    async with one_stream(servers) as (stream, jetstream):
        await jetstream.delete_stream(SPEC.name)
        await stream.publish(Message(SPEC.subject, "one", "test", b"x"))
        assert (await jetstream.stream_info(SPEC.name)).state.messages == 1


async def test_a_reader_makes_the_stream_that_it_misses(servers: Servers) -> None:
    read: list[bytes] = []

    async def handle(payloads: Sequence[bytes]) -> None:
        read.extend(payloads)

    async def seen() -> list[bytes]:
        return read

    async with one_stream(servers) as (stream, jetstream):
        work = asyncio.create_task(Consumer(stream, SPEC, "reader", handle, cast(DeadLetters, None)).run())
        try:
            await stream.publish(Message(SPEC.subject, "one", "test", b"1"))
            await becomes(seen, [b"1"])
            await jetstream.delete_stream(SPEC.name)
            await becomes(partial(exists, jetstream), True)
            await stream.publish(Message(SPEC.subject, "two", "test", b"2"))
            await becomes(seen, [b"1", b"2"])
        finally:
            work.cancel()
            await asyncio.wait([work])


async def test_readiness_makes_a_consumer_that_it_misses(servers: Servers) -> None:
    """A stream without it would keep nothing of what is published, and say that all is well."""
    async with one_stream(servers) as (stream, jetstream):
        await jetstream.delete_consumer(SPEC.name, "reader")
        await stream.ready(())
        assert await exists(jetstream)


async def exists(jetstream: JetStreamContext) -> bool:
    """Whether the stream of this test and its consumer are there."""
    try:
        await jetstream.consumer_info(SPEC.name, "reader")
    except JetStreamError:
        return False
    return True
