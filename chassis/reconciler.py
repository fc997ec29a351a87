"""A service compares what it recorded with what the reader of its stream has settled, and publishes again what is
missing.

That goes on in rounds, one at a time in the deployment: a round closes the gaps of which the reader has the fact by now
(`chassis.gaps`), compares what is new, and some of what is old (`chassis.windows`), and publishes again what is still
missing. Rows of the outbox are removed when the reader has them.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import text

from chassis import telemetry
from chassis.asking import AskedReader
from chassis.database import Database
from chassis.gaps import MAX_OPEN_GAPS, Gaps
from chassis.windows import Windows

RECONCILE_SECONDS = 3.0
"""The pause between two rounds, of whichever processes: nothing of a lost stream waits for longer."""
RETENTION = timedelta(days=7)
"""The time for which published rows are kept at least, so that what is lost can be published again."""
PURGE_SECONDS = 3_600.0
PURGE_BATCH = 5_000

log = structlog.get_logger(__name__)

# One round at a time in the deployment. A time in the future was written before the clock was set back.
_CLAIM = text("""
    INSERT INTO reconciliation (consumer, look_time) VALUES (:consumer, now())
    ON CONFLICT (consumer) DO UPDATE SET look_time = now()
    WHERE reconciliation.look_time NOT BETWEEN now() - make_interval(secs => :seconds) AND now()
    RETURNING settled_id, again_id
""")
_STANDING = text("""
    SELECT (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND NOT set_aside) AS open,
        (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND set_aside) AS set_aside,
        (SELECT extract(epoch FROM now() - create_time) FROM outbox WHERE outbox_id > coalesce(
            (SELECT settled_id FROM reconciliation WHERE consumer = :consumer), 0)
         ORDER BY outbox_id LIMIT 1) AS seconds
""")
_PURGE = text("""
    DELETE FROM outbox WHERE outbox_id IN (
        SELECT outbox_id FROM outbox WHERE publish_time < now() - make_interval(secs => :seconds)
            AND outbox_id <= (SELECT min(settled_id) FROM reconciliation)
            AND NOT EXISTS (SELECT FROM gap WHERE gap.outbox_id = outbox.outbox_id AND close_time IS NULL)
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


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
        """Compares what is new, and some of what is old; publishes again what is missing, and notes what is not missing
        any more. Does nothing but measure where another process did so a moment ago."""
        async with self.database.transaction() as conn:
            claim = {"consumer": self.reader.consumer, "seconds": self.pause_seconds / 2}
            claimed = (await conn.execute(_CLAIM, claim)).one_or_none()
        if claimed is not None:
            open_gaps = await self.gaps.settle()
            if open_gaps is not None and open_gaps < MAX_OPEN_GAPS:
                await self.windows.compare_new(claimed.settled_id)
                await self.windows.compare_again(claimed.again_id, claimed.settled_id)
            await self.gaps.republish()
        await self._measure()

    async def purge(self) -> int:
        """Removes some of the rows that the reader has for long enough; returns how many."""
        async with self.database.transaction() as conn:
            purged = await conn.execute(_PURGE, {"seconds": RETENTION.total_seconds(), "limit": PURGE_BATCH})
        return purged.rowcount

    async def _measure(self) -> None:
        consumer = self.reader.consumer
        async with self.database.transaction() as conn:
            standing = (await conn.execute(_STANDING, {"consumer": consumer})).one()
        telemetry.RECONCILE_OPEN_GAPS.labels(consumer).set(standing.open)
        telemetry.RECONCILE_SET_ASIDE.labels(consumer).set(standing.set_aside)
        telemetry.RECONCILE_LAG.labels(consumer).set(max(0.0, float(standing.seconds or 0)))
