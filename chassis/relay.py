"""The relay publishes what stands in the outbox, at least once.

It asks for *unpublished* rows. A cursor (`id > last`) would lose rows whose transaction commits late.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import structlog
from sqlalchemy import text

from chassis.database import Database
from chassis.stream import Message, Stream
from chassis.tasks import run_all
from chassis.telemetry import PUBLISHED_ROWS
from chassis.topology import StreamSpec

RELAY_BATCH = 200
"""The most rows of a round: with 256 publishes in flight at most, one round never waits for itself."""
POLL_SECONDS = 0.5
"""The longest wait for a wake-up, which rows never get that another process committed before it died."""
MERGE_BYTES = 256 * 1024
"""The greatest size of a message into which rows of one subject are joined: the broker syncs each message, whatever its
size."""

log = structlog.get_logger(__name__)

_CLAIM = text("""
    SELECT outbox_id, subject, message_id, message_type, payload FROM outbox
    WHERE publish_time IS NULL AND subject = :subject ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_MARK = text("UPDATE outbox SET publish_time = now() WHERE outbox_id = ANY(:ids)")


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


class Relay:
    """Publishes what the outbox holds for some streams, each by itself: one that takes nothing holds up no other. Any
    number of relays may run: rows are claimed with SKIP LOCKED."""

    def __init__(
        self, database: Database, stream: Stream, specs: Sequence[StreamSpec], unhurried: Sequence[StreamSpec] = ()
    ) -> None:
        """`unhurried`: streams whose rows wait for the next look, POLL_SECONDS at most, so that calls which write them
        cost no round of their own."""
        self.database = database
        self.stream = stream
        self._wakes = {spec.subject: asyncio.Event() for spec in specs}
        self._unhurried = [spec.subject for spec in unhurried]

    def wake(self) -> None:
        """Tells the relay that rows were committed; call it after the commit."""
        for each in self._wakes.values():
            each.set()

    async def run(self) -> None:
        """Publishes until cancelled. Faults are logged and tried again: nothing is lost, it waits in the table."""
        wakes = {**self._wakes, **{subject: asyncio.Event() for subject in self._unhurried}}
        await run_all(*(self._publish(subject, wake) for subject, wake in wakes.items()))

    async def _publish(self, subject: str, wake: asyncio.Event) -> None:
        while True:
            try:
                while await self.publish_some(subject) == RELAY_BATCH:
                    pass
            except Exception as error:
                log.warning("outbox relay failed, will retry", subject=subject, error=error)
                await asyncio.sleep(POLL_SECONDS)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await wake.wait()
            except TimeoutError:
                continue
            finally:
                wake.clear()

    async def publish_some(self, subject: str) -> int:
        """Publishes up to RELAY_BATCH rows of a subject and returns how many."""
        async with self.database.transaction() as conn:
            rows = (await conn.execute(_CLAIM, {"subject": subject, "limit": RELAY_BATCH})).all()
            if rows:
                await self.stream.publish_all(
                    merge([Message(row.subject, row.message_id, row.message_type, bytes(row.payload)) for row in rows])
                )
                await conn.execute(_MARK, {"ids": [row.outbox_id for row in rows]})
        PUBLISHED_ROWS.labels(self.database.schema).inc(len(rows))
        return len(rows)
