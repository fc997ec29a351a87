"""The click writer: from the stream into day partitions, and old days out. Any number of processes may run one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from psycopg.errors import CheckViolation, UniqueViolation

from chassis.clock import Clock
from chassis.database import Database
from chassis.times import unix_ms
from services.attribution.store.clicks import (
    copy_clicks,
    day_date,
    drop_partitions,
    ensure_partitions,
    merge_clicks,
)
from services.attribution.wire.click_rows import ClickRows, encode

FETCH_MESSAGES = 32
"""At full messages 64,000 clicks, 5 MB: long enough a copy that its fixed costs vanish, short enough to hold."""
DAYS_AHEAD = 7
"""Partitions that exist before their day comes: a database that cannot make new ones has a week to be noticed."""
UPKEEP_SECONDS = 3_600.0
UPKEEP_RETRY_SECONDS = 30.0
_DAY_MS = 86_400_000

log = structlog.get_logger(__name__)


@dataclass
class ClickWriter:
    """Writes clicks and looks after their partitions."""

    database: Database
    clock: Clock
    retention: timedelta
    _days: set[int] = field(default_factory=set)
    """Days whose partition was seen."""

    async def write(self, payloads: Sequence[bytes]) -> None:
        """Writes what serialised ClickBatches hold, each click once, however often it comes."""
        clicks = encode(payloads)
        if missing := clicks.days - self._days:
            await self._ensure(missing)
        try:
            await self._copy(clicks)
        except CheckViolation:  # a partition was dropped since it was seen
            await self._ensure(clicks.days)
            await self._merge(clicks)
        except UniqueViolation:
            await self._merge(clicks)

    async def _copy(self, clicks: ClickRows) -> None:
        async with self.database.transaction() as conn:
            await copy_clicks(conn, clicks.rows)

    async def _merge(self, clicks: ClickRows) -> None:
        async with self.database.transaction() as conn:
            await merge_clicks(conn, clicks.rows)

    async def _ensure(self, days: frozenset[int]) -> None:
        async with self.database.transaction() as conn:
            await ensure_partitions(conn, days)
        self._days |= days

    async def run_upkeep(self) -> None:
        """Makes partitions ahead and drops old ones, until cancelled. A day too many or too few does no harm, so a fault
        waits for the next round."""
        while True:
            wait_seconds = UPKEEP_SECONDS
            try:
                await self.upkeep()
            except Exception as error:
                log.warning("click partitions not looked after, will retry", error=error)
                wait_seconds = UPKEEP_RETRY_SECONDS
            await asyncio.sleep(wait_seconds)

    async def upkeep(self) -> int:
        """Makes partitions from yesterday to DAYS_AHEAD, drops those older than the retention, returns how many."""
        now = self.clock.now()
        today = unix_ms(now) // _DAY_MS
        await self._ensure(frozenset(range(today - 1, today + DAYS_AHEAD + 1)))
        first_kept = day_date(today) - self.retention
        async with self.database.transaction() as conn:
            dropped = await drop_partitions(conn, first_kept)
        if dropped:
            self._days = {day for day in self._days if day_date(day) >= first_kept}
            log.info("old clicks dropped", days=dropped, first_kept=first_kept.isoformat())
        return dropped
