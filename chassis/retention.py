"""Rows that have lived their time are removed: one mechanism for all tables that would grow for ever.

A table is read in its own order, some blocks at a time, and what has lived its time is taken out of them. So no life
needs an index, which every insert would pay for, and no transaction is long, however much there is to remove. The whole
table is read once a day, by one process of the deployment.

Before anything is removed, `retention` says until when. By that row it is known afterwards that something which is not
there may have been there: a repeated call or event of before is refused, whatever the lives were set to meanwhile.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.clock import Clock
from chassis.database import Database
from chassis.ids import least_id
from chassis.settings import ServiceSettings
from chassis.telemetry import REMOVED_ROWS

SWEEP_INTERVAL = timedelta(hours=23)
"""How long after a sweep began the next one may: less than a day, so that a process that looks each hour sweeps
daily."""
LOOK_SECONDS = 3_600.0
"""The pause between two looks whether a sweep is due; one that broke off is made up for by the next day's."""
RETRY_SECONDS = 60.0
BLOCKS_A_TRANSACTION = 512
"""The blocks that one transaction looks through: 4 MB of the table, some ten thousand rows, tenths of a second."""
PAUSE_RATIO = 1.0
"""The pause after a transaction, as a multiple of the time that it took: cleaning keeps a connection and a disk busy
half of the time at most."""
COUNTED_LETTER_DAYS = 30
"""How long a failure is counted that nobody set a message aside for, since its last try: the message was handled, or it
would have come again within minutes."""

log = structlog.get_logger(__name__)

_CLAIM = text("""
    INSERT INTO retention (life, sweep_time, removed_before)
    VALUES (:life, :now, coalesce(CAST(:moment AS timestamptz), now()) - make_interval(days => :days))
    ON CONFLICT (life) DO UPDATE SET sweep_time = excluded.sweep_time,
        removed_before = greatest(retention.removed_before, excluded.removed_before)
    WHERE retention.sweep_time <= :due
    RETURNING coalesce(CAST(:moment AS timestamptz), now()) - make_interval(days => :days) AS before
""")
_BLOCKS = text("SELECT pg_relation_size(CAST(:table AS regclass)) / CAST(current_setting('block_size') AS bigint)")
_REMOVE = """
    DELETE FROM {table}
    WHERE ctid >= CAST(format('(%s,0)', CAST(:first AS bigint)) AS tid)
      AND ctid < CAST(format('(%s,0)', CAST(:end AS bigint)) AS tid)
      AND {expired}
"""


@dataclass(frozen=True, slots=True)
class Life:
    """How long the rows of some tables live."""

    name: str
    """The name under which `retention` says until when rows were removed."""
    tables: tuple[str, ...]
    """The tables, in the order in which they are cleaned. None of them is partitioned."""
    expired: str
    """The condition, in SQL, that a row has lived its time: by `CAST(:before AS timestamptz)`, or for ids that begin
    with their time by `CAST(:least_id AS uuid)`."""
    days: int
    clock: Clock | None = None
    """The clock of the rows' times; None for the database's own."""


def common_lives(settings: ServiceSettings) -> list[Life]:
    """The lives in every service: answers to calls, and failures that came to nothing."""
    return [
        Life("requests", ("program_request", "request"), "create_time < :before", settings.request_retention_days),
        Life("letters", ("dead_letter",), "park_time IS NULL AND update_time < :before", COUNTED_LETTER_DAYS),
    ]


async def keep(database: Database, clock: Clock, lives: Sequence[Life]) -> None:
    """Sweeps each day, until cancelled. Any number of processes may: each life is swept by the one that comes first."""
    while True:
        seconds = LOOK_SECONDS
        for life in lives:
            try:
                removed = await sweep(database, clock, life)
            except Exception as error:
                log.warning("old rows not removed, will retry", life=life.name, error=error)
                seconds = RETRY_SECONDS
            else:
                if removed is not None:
                    log.info("old rows removed", life=life.name, rows=removed)
        await clock.sleep(seconds)


async def sweep(database: Database, clock: Clock, life: Life) -> int | None:
    """Removes what has lived its time, in short transactions; returns how many rows, or None where a sweep was begun
    less than SWEEP_INTERVAL ago."""
    async with database.transaction() as conn:
        before = await _claim(conn, clock.now(), life)
    if before is None:
        return None
    removed = 0
    for table in life.tables:
        async with database.transaction() as conn:
            blocks = (await conn.execute(_BLOCKS, {"table": table})).scalar_one()
        for first in range(0, blocks, BLOCKS_A_TRANSACTION):
            removed += await _remove(database, life, table, before, first)
    return removed


async def _claim(conn: AsyncConnection, now: datetime, life: Life) -> datetime | None:
    """Begins a sweep, and says of when rows are removed from now on; returns the time before which they have lived
    theirs, or None where another sweep was begun a short while ago."""
    names = {
        "life": life.name,
        "now": now,
        "due": now - SWEEP_INTERVAL,
        "moment": life.clock.now() if life.clock else None,
        "days": life.days,
    }
    before: datetime | None = (await conn.execute(_CLAIM, names)).scalar_one_or_none()
    return before


async def _remove(database: Database, life: Life, table: str, before: datetime, first: int) -> int:
    """Removes what has lived its time from the blocks that begin with `first`, then pauses; returns how many rows."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    statement = text(_REMOVE.format(table=table, expired=life.expired))
    names = {"first": first, "end": first + BLOCKS_A_TRANSACTION}
    times = {"before": before, "least_id": least_id(before)}
    async with database.transaction() as conn:
        told = {name: value for name, value in times.items() if f":{name}" in life.expired}
        removed = (await conn.execute(statement, names | told)).rowcount
    REMOVED_ROWS.labels(table=table).inc(removed)
    await asyncio.sleep(PAUSE_RATIO * (loop.time() - began))
    return removed
