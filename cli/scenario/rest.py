"""Waits until all that was recorded is settled, told and followed up.

Events flow one way, so each stage is at rest for good once those before it are.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from chassis.file_clock import ClockFile
from chassis.topology import CLICKS, CONVERSIONS, REWARDS, StreamSpec
from cli.errors import CommandFailed

if TYPE_CHECKING:
    import psycopg
    from nats.js import JetStreamContext

POLL_SECONDS = 0.01
STUCK_SECONDS = 60.0
JOBS_OF = "rewards"
"""The service whose jobs follow things up."""
_POSTINGS = b"""
    SELECT (SELECT count(*) FROM rewards.transfer), (SELECT coalesce(max(outbox_id), 0) FROM rewards.outbox)
"""
_DEFERRED = b"SELECT count(*) FROM rewards.deferred"


@dataclass(frozen=True, slots=True)
class StackRest:
    """The servers of a stack, watched until it is at rest."""

    conn: "psycopg.AsyncConnection[tuple[int, ...]]"
    jetstream: "JetStreamContext"
    clock: ClockFile

    async def until_settled(self) -> None:
        """Returns when what was recorded is settled."""
        for durable in CLICKS.consumers:
            await _until("clicks are not written", partial(self._has_consumed_all, CLICKS, durable))
        await self._until_consumed("attribution", CONVERSIONS)
        await _until("orders that take long to decide are not settled", self._nothing_is_deferred)

    async def until_told(self) -> None:
        """Returns when jobs have done what is due too, and everybody was told."""
        await self.until_settled()
        before = None
        # What one job makes available another may have to settle a debt with: the last round is one that moves nothing.
        while before != (count := await self._count_postings()):
            before = count
            self.clock.call_round()
            await _until("jobs do not end", self._jobs_have_worked)
        await self._until_consumed("rewards", REWARDS)

    async def _count_postings(self) -> tuple[int, ...] | None:
        """Figures that grow with everything that jobs do."""
        return await (await self.conn.execute(_POSTINGS)).fetchone()

    async def _until_consumed(self, owner: str, spec: StreamSpec) -> None:
        await _until(f"events of {owner} are not published", partial(self._all_is_published, owner))
        for durable in spec.consumers:
            await _until(f"{durable} does not settle its events", partial(self._has_consumed_all, spec, durable))

    async def _jobs_have_worked(self) -> bool:
        """Whether a round of jobs has ended since it was called for."""
        return self.clock.worked(JOBS_OF)

    async def _all_is_published(self, owner: str) -> bool:
        """Whether no event of the service waits in its outbox."""
        cursor = await self.conn.execute(f"SELECT count(*) FROM {owner}.outbox WHERE publish_time IS NULL".encode())
        row = await cursor.fetchone()
        return row is not None and row[0] == 0

    async def _nothing_is_deferred(self) -> bool:
        """Whether no order waits that takes long to decide, of which the stream knows no more."""
        row = await (await self.conn.execute(_DEFERRED)).fetchone()
        return row is not None and row[0] == 0

    async def _has_consumed_all(self, spec: StreamSpec, durable: str) -> bool:
        """Whether the consumer was given every message of the stream and has acknowledged it.

        Sequence numbers tell: a consumer's own count of what is pending follows the stream with a delay.
        """
        from nats.errors import Error as BrokerError

        try:
            state = (await self.jetstream.stream_info(spec.name)).state
            consumer = await self.jetstream.consumer_info(spec.name, durable)
        except BrokerError:
            return False
        delivered = consumer.delivered.stream_seq if consumer.delivered else 0
        return state.last_seq == delivered and not consumer.num_ack_pending


@asynccontextmanager
async def watch_rest(database_url: str, nats_url: str, clock: ClockFile) -> AsyncIterator[StackRest]:
    """Connects to the servers beneath the stack."""
    import nats  # here, as every command starts with the imports of all
    import psycopg

    client = await nats.connect(nats_url)
    try:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
            yield StackRest(conn, client.jetstream(), clock)
    finally:
        await client.close()


async def _until(otherwise: str, done: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + STUCK_SECONDS
    while not await done():
        if time.monotonic() > deadline:
            raise CommandFailed(f"{otherwise} within {STUCK_SECONDS:.0f} seconds")
        await asyncio.sleep(POLL_SECONDS)
