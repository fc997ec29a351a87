"""The relay publishes what stands in the outbox, at least once.

It asks for *unpublished* rows. A cursor (`id > last`) would lose rows whose transaction commits late.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from chassis.database import Database
from chassis.stream import Message, Stream
from chassis.telemetry import PUBLISHED_ROWS
from chassis.topology import StreamSpec

RELAY_BATCH = 200
"""The most rows of a round: with 256 publishes in flight at most, one round never waits for itself."""
POLL_SECONDS = 0.5
"""The longest wait for a wake-up, which rows never get that another process committed before it died."""
RETENTION = timedelta(days=7)
"""The time for which published rows are kept, so that a lost broker can be fed again."""
MERGE_BYTES = 256 * 1024
"""The greatest size of a message into which rows of one subject are joined: the broker syncs each message, whatever its
size."""
RECONCILE_SECONDS = 3.0
"""The time between two questions whether the stream is still the same one: nothing of a lost one waits longer."""
PURGE_SECONDS = 3600.0
PURGE_BATCH = 5_000

log = structlog.get_logger(__name__)

_CLAIM = text("""
    SELECT outbox_id, subject, message_id, message_type, payload FROM outbox
    WHERE publish_time IS NULL ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_MARK = text("UPDATE outbox SET publish_time = now() WHERE outbox_id = ANY(:ids)")
# Rows that were published before the stream of today existed were on one that is gone. The margins are for the two
# clocks.
_REQUEUE = text("""
    UPDATE outbox SET publish_time = NULL
    WHERE subject = :subject AND create_time < CAST(:made AS timestamptz) + interval '1 second'
        AND publish_time < CAST(:made AS timestamptz) + interval '10 seconds'
""")
_PURGE = text("""
    DELETE FROM outbox WHERE outbox_id IN (
        SELECT outbox_id FROM outbox WHERE publish_time < now() - make_interval(secs => :seconds)
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


def merge(messages: Sequence[Message]) -> list[Message]:
    """Joins neighbours of one subject and type, up to MERGE_BYTES.

    Every payload is a protobuf message with one repeated field, and such messages joined end to end are one message
    with all the entries (protobuf encoding guide, "Last One Wins", on merging). A joined message is named after all of
    its parts: after a crash between publishing and marking they may be joined otherwise, with a row between them that
    was committed late. Named after the first and last part only, that message would be taken for the one before, and
    the row be lost.
    """
    merged: list[list[Message]] = []
    size = 0
    for each in messages:
        size += len(each.payload)
        last = merged[-1][-1] if merged else None
        if last and (last.subject, last.message_type) == (each.subject, each.message_type) and size <= MERGE_BYTES:
            merged[-1].append(each)
        else:
            merged.append([each])
            size = len(each.payload)
    return [_joined(parts) for parts in merged]


def _joined(parts: list[Message]) -> Message:
    if len(parts) == 1:
        return parts[0]
    names = hashlib.blake2b("\x1f".join(each.message_id for each in parts).encode(), digest_size=16)
    first = parts[0]
    return Message(first.subject, names.hexdigest(), first.message_type, b"".join(each.payload for each in parts))


@dataclass
class Relay:
    """Publishes what the outbox holds. Any number of relays may run: rows are claimed with SKIP LOCKED."""

    database: Database
    stream: Stream
    spec: StreamSpec
    """The stream this service publishes on."""

    def __post_init__(self) -> None:
        self._wake = asyncio.Event()
        self._stream_made: datetime | None = None

    def wake(self) -> None:
        """Tells the relay that rows were committed; call it after the commit."""
        self._wake.set()

    async def run(self) -> None:
        """Publishes until cancelled. Faults are logged and tried again: nothing is lost, it waits in the table."""
        next_reconcile = next_purge = 0.0
        while True:
            try:
                if (now := asyncio.get_running_loop().time()) >= next_reconcile:
                    await self.reconcile()
                    next_reconcile = now + RECONCILE_SECONDS
                while await self.publish_some() == RELAY_BATCH:
                    pass
                if now >= next_purge:
                    while await self._purge() == PURGE_BATCH:
                        pass
                    next_purge = now + PURGE_SECONDS
            except Exception as error:
                log.warning("outbox relay failed, will retry", error=error)
                await asyncio.sleep(POLL_SECONDS)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def publish_some(self) -> int:
        """Publishes up to RELAY_BATCH rows and returns how many."""
        async with self.database.transaction() as conn:
            rows = (await conn.execute(_CLAIM, {"limit": RELAY_BATCH})).all()
            if rows:
                await self.stream.publish_all(
                    merge([Message(row.subject, row.message_id, row.message_type, bytes(row.payload)) for row in rows])
                )
                await conn.execute(_MARK, {"ids": [row.outbox_id for row in rows]})
        PUBLISHED_ROWS.labels(self.database.schema).inc(len(rows))
        return len(rows)

    async def reconcile(self) -> int:
        """Publishes again what was published before, where the broker lost its disk; returns how many rows come again.

        Which of them had been handled nobody needs to know: an event that comes again changes nothing.
        """
        made = await self.stream.made(self.spec)
        if made == self._stream_made:
            return 0
        async with self.database.transaction() as conn:
            requeued = await conn.execute(_REQUEUE, {"subject": self.spec.subject, "made": made})
        self._stream_made = made
        if requeued.rowcount:
            log.warning("the stream is a new one, publishing again", stream=self.spec.name, rows=requeued.rowcount)
        return requeued.rowcount

    async def _purge(self) -> int:
        async with self.database.transaction() as conn:
            purged = await conn.execute(_PURGE, {"seconds": RETENTION.total_seconds(), "limit": PURGE_BATCH})
        return purged.rowcount
