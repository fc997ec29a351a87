"""Writing recorded clicks into day partitions, and old days out. Any number of processes may do so at once."""

from datetime import timedelta

import structlog
from psycopg.errors import CheckViolation, UniqueViolation

from chassis.times import unix_ms
from services.attribution.commands.deps import WriterDeps
from services.attribution.store.clicks import copy_clicks, day_date, merge_clicks
from services.attribution.wire.click_rows import ClickRows

DAYS_AHEAD = 7
"""Partitions that exist before their day comes: a database that cannot make new ones has a week to be noticed."""
_DAY_MS = 86_400_000

log = structlog.get_logger(__name__)


async def write_clicks(deps: WriterDeps, clicks: ClickRows) -> None:
    """Writes each click once, however often it comes."""
    await deps.partitions.ensure_unseen(clicks.days)
    try:
        async with deps.database.transaction() as conn:
            await copy_clicks(conn, clicks.rows)
    except CheckViolation:  # a partition was dropped since it was seen
        await deps.partitions.ensure(clicks.days)
        await _merge(deps, clicks)
    except UniqueViolation:
        await _merge(deps, clicks)


async def _merge(deps: WriterDeps, clicks: ClickRows) -> None:
    async with deps.database.transaction() as conn:
        await merge_clicks(conn, clicks.rows)


async def renew_partitions(deps: WriterDeps, retention: timedelta) -> int:
    """Makes partitions from yesterday to DAYS_AHEAD, drops those older than the retention, returns how many."""
    today = unix_ms(deps.clock.now()) // _DAY_MS
    await deps.partitions.ensure(frozenset(range(today - 1, today + DAYS_AHEAD + 1)))
    first_kept = day_date(today) - retention
    dropped = await deps.partitions.drop_before(first_kept)
    if dropped:
        log.info("old clicks dropped", days=dropped, first_kept=first_kept.isoformat())
    return dropped
