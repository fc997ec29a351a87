"""Rows that have lived their time are removed: one mechanism for all tables that would grow for ever.

A table is read in its own order, some blocks at a time, and what has lived its time is taken out of them. So no life
needs an index, which every insert would pay for, and no transaction is long, however much there is to remove. The whole
table is read once a day, by one process of the deployment.

Before the first row is removed, `retention` says until when rows go. By that it is known afterwards that something
which is not there may have been there: a repeated call or event of before is refused, whatever the lives were set to
meanwhile. Where nothing was ever removed, nothing is refused.
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
    INSERT INTO retention (life, sweep_time, removed_before) VALUES (:life, :now, '-infinity')
    ON CONFLICT (life) DO UPDATE SET sweep_time = excluded.sweep_time WHERE retention.sweep_time <= :due
    RETURNING coalesce(CAST(:moment AS timestamptz), now()) - make_interval(days => :days) AS before
""")
_BLOCKS = text("SELECT pg_relation_size(CAST(:table AS regclass)) / CAST(current_setting('block_size') AS bigint)")
_OLD_ROWS = """
    FROM {table}
    WHERE ctid >= CAST(format('(%s,0)', CAST(:first AS bigint)) AS tid)
      AND ctid < CAST(format('(%s,0)', CAST(:end AS bigint)) AS tid)
      AND {expired}
"""
_ANNOUNCE = f"""
    UPDATE retention SET removed_before = greatest(removed_before, CAST(:moment AS timestamptz))
    WHERE life = :life AND EXISTS (SELECT {_OLD_ROWS})
"""
_REMOVE = f"DELETE {_OLD_ROWS}"


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
    is_announced = False
    for table in life.tables:
        async with database.transaction() as conn:
            blocks = (await conn.execute(_BLOCKS, {"table": table})).scalar_one()
        for first in range(0, blocks, BLOCKS_A_TRANSACTION):
            is_announced = is_announced or await _announce(database, life, table, before, first)
            if is_announced:
                removed += await _remove(database, life, table, before, first)
    return removed


async def _claim(conn: AsyncConnection, now: datetime, life: Life) -> datetime | None:
    """Begins a sweep; returns the time before which rows have lived theirs, or None where another sweep was begun a
    short while ago."""
    names = {
        "life": life.name,
        "now": now,
        "due": now - SWEEP_INTERVAL,
        "moment": life.clock.now() if life.clock else None,
        "days": life.days,
    }
    before: datetime | None = (await conn.execute(_CLAIM, names)).scalar_one_or_none()
    return before


async def _announce(database: Database, life: Life, table: str, before: datetime, first: int) -> bool:
    """Says of when rows are removed from now on, if there is one to remove in the blocks that begin with `first`;
    returns whether there is. Whoever repeats a call finds that said before its answer is gone."""
    names = {"life": life.name, "moment": before}
    return bool(await _step(database, _ANNOUNCE, life, table, before, first, names))


async def _remove(database: Database, life: Life, table: str, before: datetime, first: int) -> int:
    """Removes what has lived its time from the blocks that begin with `first`; returns how many rows."""
    removed = await _step(database, _REMOVE, life, table, before, first, {})
    REMOVED_ROWS.labels(table=table).inc(removed)
    return removed


async def _step(
    database: Database, statement: str, life: Life, table: str, before: datetime, first: int, names: dict[str, object]
) -> int:
    """Runs a statement about some blocks in a transaction, then pauses; returns how many rows it wrote."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    times = {"before": before, "least_id": least_id(before)}
    told = {name: value for name, value in times.items() if f":{name}" in life.expired}
    places = {"first": first, "end": first + BLOCKS_A_TRANSACTION}
    async with database.transaction() as conn:
        whole = text(statement.format(table=table, expired=life.expired))
        written = (await conn.execute(whole, names | places | told)).rowcount
    await asyncio.sleep(PAUSE_RATIO * (loop.time() - began))
    return written
