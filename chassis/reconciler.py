"""A service compares what it recorded with what the reader of its stream has settled, and publishes again what is
missing.

That goes on in rounds, one at a time in the deployment: a round closes the gaps of which the reader has the fact by now
(`chassis.gaps`), compares what is new, and some of what is old (`chassis.windows`), and publishes again what is still
missing. Rows of the outbox are removed when the reader has them.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import TextClause, text

from chassis import telemetry
from chassis.asking import AskedReader
from chassis.database import Database
from chassis.gaps import MAX_OPEN_GAPS, Gaps
from chassis.ids import new_id
from chassis.tasks import run_all
from chassis.windows import Compared, Windows

RECONCILE_SECONDS = 3.0
"""The pause between two rounds, of whichever processes: nothing of a lost stream waits for longer."""
CLAIM_SECONDS = 20.0
"""A round of which nothing was heard for so long is over: its process died, or stands still. Another takes its place,
and it ends as soon as it finds that."""
RENEW_SECONDS = 5.0
"""How often a round says that it works: several times before it is taken to be over."""
RETENTION = timedelta(days=7)
"""The time for which published rows are kept at least, so that what is lost can be published again."""
PURGE_SECONDS = 3_600.0
PURGE_BATCH = 5_000

log = structlog.get_logger(__name__)

# One round at a time in the deployment. A time in the future was written before the clock was set back: now() would be
# the time at which this transaction began, before another claimed and committed. No lock is held: between two
# transactions a connection may be somebody else's, as behind PgBouncer.
_CLAIM = text("""
    INSERT INTO reconciliation (consumer, look_time, round_id) VALUES (:consumer, clock_timestamp(), :round_id)
    ON CONFLICT (consumer) DO UPDATE SET look_time = clock_timestamp(), round_id = excluded.round_id
    WHERE reconciliation.look_time NOT BETWEEN clock_timestamp() - make_interval(secs =>
        CASE WHEN reconciliation.round_id IS NULL THEN CAST(:pause_seconds AS float8)
             ELSE CAST(:claim_seconds AS float8) END) AND clock_timestamp()
    RETURNING settled_id, again_id, held_after, held_made
""")
_RENEW = text("""
    UPDATE reconciliation SET look_time = clock_timestamp() WHERE consumer = :consumer AND round_id = :round_id
""")
_END = text("""
    UPDATE reconciliation SET look_time = clock_timestamp(), round_id = NULL
    WHERE consumer = :consumer AND round_id = :round_id
""")
_STANDING = text("""
    SELECT (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND NOT set_aside) AS open,
        (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND set_aside) AS set_aside,
        (SELECT extract(epoch FROM now() - create_time) FROM outbox WHERE subject = :subject AND outbox_id > coalesce(
            (SELECT settled_id FROM reconciliation WHERE consumer = :consumer), 0)
         ORDER BY outbox_id LIMIT 1) AS seconds
""")
_PURGE = text("""
    DELETE FROM outbox WHERE outbox_id IN (
        SELECT outbox_id FROM outbox WHERE publish_time < now() - make_interval(secs => :seconds)
            AND outbox_id <= (SELECT min(settled_id) FROM reconciliation)
            AND NOT EXISTS (SELECT FROM gap WHERE gap.outbox_id = outbox.outbox_id AND close_time IS NULL)
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING outbox_id
""")
# What was removed is told to those who were not sent it by the tables; those who were sent it, and may not have it, are
# told so when their stream is lost.
_LEAVE_BEHIND = text("""
    UPDATE supply SET sent_id = greatest(sent_id, :purged_id), read_id = NULL, mark_id = NULL, mark_number = NULL,
        history_cursor = CASE WHEN sent_id < :purged_id THEN '' ELSE history_cursor END
    WHERE sent_id < :purged_id OR read_id < :purged_id
""")


class LostClaimError(Exception):
    """A round was taken over by another process, which had heard nothing of it for too long."""


@dataclass
class Reconciler:
    """Compares the outbox of a service with one reader of its stream. Any number may run; they take turns."""

    database: Database
    reader: AskedReader
    pause_seconds: float = RECONCILE_SECONDS

    def __post_init__(self) -> None:
        self.gaps = Gaps(self.database, self.reader)
        self.windows = Windows(self.database, self.reader, self.gaps)

    async def run(self) -> None:
        """Compares until cancelled."""
        next_purge = 0.0
        while True:
            try:
                await self.reconcile()
                if (now := asyncio.get_running_loop().time()) >= next_purge:
                    while await self.purge() == PURGE_BATCH:
                        pass
                    next_purge = now + PURGE_SECONDS
            except Exception as error:
                log.warning(
                    "cannot compare with what was settled, will retry", consumer=self.reader.consumer, error=error
                )
            await asyncio.sleep(self.pause_seconds)

    async def reconcile(self) -> None:
        """Makes a round, unless one is under way, or ended a moment ago; then tells how things stand. Raises
        LostClaimError where another process took the round over."""
        round_id = new_id()
        limits = {"pause_seconds": self.pause_seconds / 2, "claim_seconds": CLAIM_SECONDS}
        async with self.database.transaction() as conn:
            claim = {"consumer": self.reader.consumer, "round_id": round_id, **limits}
            claimed = (await conn.execute(_CLAIM, claim)).one_or_none()
        if claimed is not None:
            ended = asyncio.Event()
            try:
                await run_all(self._work(Compared(*claimed), ended), self._renew(round_id, ended))
            finally:
                await self._note(_END, round_id)
        await self._measure()

    async def _work(self, compared: Compared, ended: asyncio.Event) -> None:
        """Compares what is new, and some of what is old; publishes again what is missing, and notes what is not missing
        any more."""
        try:
            open_gaps = await self.gaps.settle()
            if open_gaps is not None and open_gaps < MAX_OPEN_GAPS:
                await self.windows.compare_new(compared)
                await self.windows.compare_again(compared)
            await self.gaps.republish()
        finally:
            ended.set()

    async def _renew(self, round_id: UUID, ended: asyncio.Event) -> None:
        """Says now and then that the round works, until it has ended."""
        while not ended.is_set():
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await ended.wait()
            except TimeoutError:
                if not await self._note(_RENEW, round_id):
                    raise LostClaimError("another process took the round over") from None

    async def _note(self, statement: TextClause, round_id: UUID) -> bool:
        """Notes something of a round; says whether it is still this process' own."""
        async with self.database.transaction() as conn:
            noted = await conn.execute(statement, {"consumer": self.reader.consumer, "round_id": round_id})
        return bool(noted.rowcount)

    async def purge(self) -> int:
        """Removes some of the rows that the reader has for long enough; returns how many. For derived readers none are
        kept: the tables tell them what these say (`chassis.supplying`)."""
        async with self.database.transaction() as conn:
            limits = {"seconds": RETENTION.total_seconds(), "limit": PURGE_BATCH}
            purged = (await conn.execute(_PURGE, limits)).scalars().all()
            if purged:
                await conn.execute(_LEAVE_BEHIND, {"purged_id": max(purged)})
        return len(purged)

    async def _measure(self) -> None:
        consumer = self.reader.consumer
        async with self.database.transaction() as conn:
            named = {"consumer": consumer, "subject": self.reader.spec.subject}
            standing = (await conn.execute(_STANDING, named)).one()
        telemetry.RECONCILE_OPEN_GAPS.labels(consumer).set(standing.open)
        telemetry.RECONCILE_SET_ASIDE.labels(consumer).set(standing.set_aside)
        telemetry.RECONCILE_LAG.labels(consumer).set(max(0.0, float(standing.seconds or 0)))
