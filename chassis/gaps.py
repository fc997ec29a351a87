"""Gaps: facts that a reader of the stream lacks, although they were published. Each stands in table `gap` until the
reader has it, and its event is published again, behind what is new, a batch at a time.

What stands in a dead letter of the reader is set aside: it is published again only when it is no dead letter any more,
and still missing. A gap that was closed and is found again is a new one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox, telemetry
from chassis.asking import AskedReader
from chassis.comparison import Fact
from chassis.database import Database
from chassis.ids import new_id
from chassis.relay import merge
from chassis.retention import Life
from chassis.stream import Extent, Message

MAX_OPEN_GAPS = 5_000
"""With so many open gaps no further ones are looked for until some are closed."""
BATCH_GAPS = 200
"""The most events that are published again before the stream has let go of those before: so many a new event may have
to wait behind."""
BATCHES_A_ROUND = 20
RETRY_BASE_SECONDS = 5.0
"""An event that is missing again after it was published again comes once more after twice the pause each time, from
this one on, up to MAX_RETRY_SECONDS."""
MAX_RETRY_SECONDS = 3_600.0
CLOSED_GAP_DAYS = 30
"""How long a gap that is closed stays on record."""
GAPS = Life("gaps", ("gap",), "close_time < :before", CLOSED_GAP_DAYS)

log = structlog.get_logger(__name__)

_ADD = text("""
    INSERT INTO gap (consumer, program_id, event_id, outbox_id)
    SELECT CAST(:consumer AS text), * FROM unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[]),
        CAST(:outbox_ids AS bigint[]))
    ON CONFLICT (consumer, program_id, event_id) DO UPDATE
    SET outbox_id = excluded.outbox_id, find_time = now(), attempts = 0, publish_time = NULL, set_aside = false,
        close_time = NULL
    WHERE gap.close_time IS NOT NULL
    RETURNING 1
""")
_OPEN = text("""
    SELECT program_id, event_id, set_aside FROM gap WHERE consumer = :consumer AND close_time IS NULL
    ORDER BY set_aside, outbox_id LIMIT :limit
""")
_NOTE = """
    UPDATE gap SET {change} FROM unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[]))
        AS named (program_id, event_id)
    WHERE gap.consumer = :consumer AND gap.program_id = named.program_id AND gap.event_id = named.event_id
"""
_CLOSE = text(_NOTE.format(change="close_time = now()"))
_SET_ASIDE = text(_NOTE.format(change="set_aside = true"))
_TAKE_UP = text(_NOTE.format(change="set_aside = false"))
# A time in the future was written before the clock was set back.
_DUE = text("""
    UPDATE gap SET publish_time = now(), attempts = attempts + 1
    WHERE (consumer, program_id, event_id) IN (
        SELECT consumer, program_id, event_id FROM gap
        WHERE consumer = :consumer AND close_time IS NULL AND NOT set_aside
            AND (publish_time IS NULL OR publish_time NOT BETWEEN now() - make_interval(
                secs => least(:most_seconds, :base_seconds * 2.0 ^ least(attempts - 1, 20))) AND now())
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING outbox_id, event_id
""")
_ROW = text("SELECT subject, message_type, payload FROM outbox WHERE outbox_id = :outbox_id")


@dataclass
class Gaps:
    """The gaps of one reader."""

    database: Database
    reader: AskedReader

    _republished: Extent | None = field(default=None, init=False)
    """The part of the stream with the last batch that was published again."""

    async def add(self, conn: AsyncConnection, outbox_ids: Mapping[Fact, int]) -> int:
        """Writes down facts that are missing, each with its row of the outbox; returns how many are new gaps."""
        if not outbox_ids:
            return 0
        rows = self._named(outbox_ids) | {"outbox_ids": list(outbox_ids.values())}
        return len((await conn.execute(_ADD, rows)).all())

    async def settle(self) -> int | None:
        """Closes the gaps of which the reader has the fact by now; returns how many are missing, None if it does
        not say."""
        async with self.database.transaction() as conn:
            rows = (await conn.execute(_OPEN, {"consumer": self.reader.consumer, "limit": MAX_OPEN_GAPS})).all()
        gaps = {Fact(row.program_id, row.event_id): row.set_aside for row in rows}
        if not gaps:
            return 0
        difference = await self.reader.ask(list(gaps))
        if difference is None:
            return None
        missing, aside = set(difference.missing), set(difference.set_aside)
        closed = gaps.keys() - missing - aside
        async with self.database.transaction() as conn:
            await conn.execute(_CLOSE, self._named(closed))
            await conn.execute(_SET_ASIDE, self._named(each for each in aside if not gaps[each]))
            await conn.execute(_TAKE_UP, self._named(each for each in missing if gaps[each]))
        if closed:
            telemetry.RECONCILE_GAPS_CLOSED.labels(self.reader.consumer).inc(len(closed))
            log.info("settled after it was published again", consumer=self.reader.consumer, events=len(closed))
        return len(missing)

    async def republish(self) -> None:
        """Publishes events of open gaps again: behind what was recorded before this round, and each batch when the
        stream has let go of the one before."""
        reader = self.reader
        async with self.database.transaction() as conn:
            last_id = await outbox.last_id(conn)
        if self._republished and not await reader.stream.has_let_go(reader.spec, self._republished):
            return
        for _ in range(BATCHES_A_ROUND):
            async with self.database.transaction() as conn:
                if not await outbox.are_published(conn, reader.spec.subject, last_id):
                    return
                limits = {"base_seconds": RETRY_BASE_SECONDS, "most_seconds": MAX_RETRY_SECONDS, "limit": BATCH_GAPS}
                due = (await conn.execute(_DUE, {"consumer": reader.consumer, **limits})).all()
            if not due:
                return
            by_row: dict[int, set[str]] = {}
            for row in sorted(due):
                by_row.setdefault(row.outbox_id, set()).add(row.event_id)
            before = await reader.extent()
            await reader.stream.publish_all(merge(await self._messages(by_row)))
            self._republished = (await reader.extent()).since(before)
            if len(due) < BATCH_GAPS or not await reader.wait_let_go(self._republished):
                return

    async def _messages(self, by_row: dict[int, set[str]]) -> list[Message]:
        """Messages with the named events of rows, under names of their own: the broker would take those of before for
        repetitions."""
        messages = []
        for outbox_id, event_ids in by_row.items():
            async with self.database.transaction() as conn:
                row = (await conn.execute(_ROW, {"outbox_id": outbox_id})).one_or_none()
            if row is None:
                log.error(
                    "no longer kept, cannot be published again",
                    consumer=self.reader.consumer,
                    events=sorted(event_ids),
                )
                continue
            payload = self.reader.batches.only(bytes(row.payload), event_ids)
            messages.append(Message(row.subject, new_id().hex, row.message_type, payload))
        return messages

    def _named(self, facts: Iterable[Fact]) -> dict[str, object]:
        named = list(facts)
        return {
            "consumer": self.reader.consumer,
            "program_ids": [each.program_id for each in named],
            "event_ids": [each.event_id for each in named],
        }
