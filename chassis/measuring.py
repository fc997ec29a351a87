"""Metrics of what stands in a service's database: read by one task of each process, now and then.

Nothing is read when metrics are asked for, so however often that is, and by how many, costs the database nothing. Each
statement goes by an index, and stops counting at a bound. It has two seconds, and nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from chassis.telemetry import DEAD_LETTER_AGE, DEAD_LETTERS, MEASURED, OUTBOX_AGE, OUTBOX_ROWS, Snapshot

MEASURE_SECONDS = 15.0
"""The time between two readings: what stands there too long has done so for minutes when somebody is called for it."""
READING_MS = 2_000
"""The longest time for one statement; each takes milliseconds, also where as much is counted as may be."""
MOST_COUNTED = 10_000
"""The most rows of a kind that are counted: so many are too many, however many more there are."""

Measure = Callable[[AsyncConnection], Awaitable[None]]
"""Reads something and tells it."""

log = structlog.get_logger(__name__)


class Standing(NamedTuple):
    """Things that wait."""

    number: int = 0
    """How many there are, MOST_COUNTED at most."""
    age_seconds: float = 0.0
    """How long the oldest of them has waited."""


_OUTBOX = text(f"""
    SELECT
        (SELECT count(*) FROM (SELECT FROM outbox WHERE publish_time IS NULL LIMIT {MOST_COUNTED}) AS few) AS number,
        (SELECT extract(epoch FROM clock_timestamp() - create_time)::float8 FROM outbox
         WHERE publish_time IS NULL ORDER BY outbox_id LIMIT 1) AS age_seconds
""")
_DEAD_LETTERS = text(f"""
    SELECT consumer, count(*) AS number, extract(epoch FROM clock_timestamp() - min(park_time))::float8 AS age_seconds
    FROM (SELECT consumer, park_time FROM dead_letter WHERE park_time IS NOT NULL
          ORDER BY park_time LIMIT {MOST_COUNTED}) AS parked
    GROUP BY consumer
""")


async def measure(database: Database, measures: Sequence[Measure]) -> None:
    """Reads and tells everything, again and again, until cancelled."""
    while True:
        if all([await _is_measured(database, each) for each in measures]):
            MEASURED.labels(database.schema).set_to_current_time()
        await asyncio.sleep(MEASURE_SECONDS)


async def _is_measured(database: Database, one: Measure) -> bool:
    """Whether one of them could be read. One that cannot keeps no other from it."""
    try:
        async with database.transaction() as conn:
            await conn.exec_driver_sql(f"SET LOCAL statement_timeout = {READING_MS}")
            await one(conn)
    except Exception as error:
        log.warning("what stands in the database is not told, will retry", error=error)
        return False
    return True


async def read_outbox(conn: AsyncConnection) -> Standing:
    """Events that wait for the broker."""
    row = (await conn.execute(_OUTBOX)).one()
    return Standing(row.number, max(0.0, row.age_seconds or 0.0))


async def read_dead_letters(conn: AsyncConnection) -> dict[str, Standing]:
    """Messages that wait for a person, by consumer."""
    rows = await conn.execute(_DEAD_LETTERS)
    return {row.consumer: Standing(row.number, max(0.0, row.age_seconds)) for row in rows}


def outbox(service: str) -> Measure:
    """Tells how much waits in the outbox of a service."""

    async def tell(conn: AsyncConnection) -> None:
        standing = await read_outbox(conn)
        OUTBOX_ROWS.labels(service).set(standing.number)
        OUTBOX_AGE.labels(service).set(standing.age_seconds)

    return tell


def dead_letters(service: str) -> Measure:
    """Tells how many messages of a service wait for a person."""
    counts, ages = Snapshot(DEAD_LETTERS), Snapshot(DEAD_LETTER_AGE)

    async def tell(conn: AsyncConnection) -> None:
        standing = await read_dead_letters(conn)
        counts.tell({(service, consumer): found.number for consumer, found in standing.items()})
        ages.tell({(service, consumer): found.age_seconds for consumer, found in standing.items()})

    return tell
