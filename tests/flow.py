"""How far events have flowed through outboxes and streams."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import nats
import psycopg
from nats.errors import Error as BrokerError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from chassis.topology import CLICKS, CONVERSIONS, REWARDS, StreamSpec
from tests.running import DEADLINE_SECONDS

POLL_SECONDS = 0.05
MOST_POISON = 200
"""Of more messages than these nobody asks which of them are poison."""
DRAIN_SECONDS = 60.0
"""Longer than the pause before a message is tried again that failed in another test."""

Value = TypeVar("Value")


async def becomes(read: Callable[[], Awaitable[Value]], wanted: Value, seconds: float = DEADLINE_SECONDS) -> None:
    """Returns when `read` tells `wanted`; fails with the difference when it has not within the deadline."""
    found = await read()
    deadline = asyncio.get_running_loop().time() + seconds
    while found != wanted and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        found = await read()
    assert found == wanted


@dataclass(frozen=True)
class Flow:
    """The servers beneath the services, seen by their owner."""

    postgres_url: str
    nats_url: str

    async def remove(self, poison: str) -> None:
        """Removes messages whose names begin with `poison` from their streams, as an operator may who waits for no
        further try."""
        client = await nats.connect(self.nats_url)
        try:
            for spec in (CLICKS, CONVERSIONS, REWARDS):
                await _remove(client.jetstream(), spec, poison)
        finally:
            await client.close()

    async def drained(self, seconds: float = DRAIN_SECONDS, poison: str = "") -> None:
        """Returns when all that was recorded before this call was settled and told. Fails after `seconds`. Messages
        whose names begin with `poison` may be left: nobody can handle them, and they are tried for ten minutes."""
        client = await nats.connect(self.nats_url)
        jetstream = client.jetstream()
        try:
            async with await psycopg.AsyncConnection.connect(self.postgres_url, autocommit=True) as conn:
                # Events flow one way, so each stage is empty for good once those before it are.
                for owner, spec in ((None, CLICKS), ("attribution", CONVERSIONS), ("rewards", REWARDS)):
                    if owner:
                        await becomes(partial(_unpublished, conn, owner), 0, seconds)
                    for durable in spec.consumers:
                        await becomes(partial(_behind, jetstream, spec, durable, poison), 0, seconds)
                    if spec is CONVERSIONS:
                        await becomes(partial(_deferred, conn), 0, seconds)
        finally:
            await client.close()


async def _deferred(conn: psycopg.AsyncConnection[tuple[int]]) -> int:
    row = await (await conn.execute("SELECT count(*) FROM rewards.deferred")).fetchone()
    return row[0] if row else 0


async def _unpublished(conn: psycopg.AsyncConnection[tuple[int]], owner: str) -> int:
    cursor = await conn.execute(f"SELECT count(*) FROM {owner}.outbox WHERE publish_time IS NULL".encode())
    row = await cursor.fetchone()
    return row[0] if row else 0


async def _remove(jetstream: JetStreamContext, spec: StreamSpec, poison: str) -> None:
    state = (await jetstream.stream_info(spec.name)).state
    for sequence in await _poisonous(jetstream, spec, state.first_seq, poison):
        await jetstream.delete_msg(spec.name, sequence)


async def _behind(jetstream: JetStreamContext, spec: StreamSpec, durable: str, poison: str) -> int:
    """Messages that were not delivered yet, or not acknowledged.

    Counted from sequence numbers: a consumer's own count of what is pending follows the stream with a delay.
    """
    try:
        state = (await jetstream.stream_info(spec.name)).state
        consumer = await jetstream.consumer_info(spec.name, durable)
        delivered = consumer.delivered.stream_seq if consumer.delivered else 0
        behind = state.last_seq - delivered + (consumer.num_ack_pending or 0)
        if poison and 0 < behind <= MOST_POISON:
            behind -= len(await _poisonous(jetstream, spec, state.first_seq, poison))
    except BrokerError:  # the broker is starting
        return -1
    return behind


async def _poisonous(jetstream: JetStreamContext, spec: StreamSpec, sequence: int, poison: str) -> list[int]:
    """The numbers of those messages on a stream that are poison."""
    found = []
    with suppress(NotFoundError):  # after the last one
        while True:
            message = await jetstream.get_msg(spec.name, seq=sequence, subject=spec.subject, next=True)
            sequence = message.seq or sequence
            if (message.headers or {}).get("Nats-Msg-Id", "").startswith(poison):
                found.append(sequence)
            sequence += 1
    return found
