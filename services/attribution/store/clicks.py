"""Clicks: their partitions, how they are written, and which links a visitor followed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import LiteralString
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from chassis.times import unix_ms
from services.attribution.domain.click import ClickKind

MAX_TOUCHES_PER_VISITOR = 1_000
"""The number of a visitor's clicks that are looked at, the newest ones. Whoever follows more links inside one window is
a machine."""
ID_SLACK = timedelta(days=4)
"""A click's id may be this much older than the click: the intake holds both within a few days of the present."""

# Nobody is credited for what a machine or a browser fetched ahead.
_VISITOR_TOUCHES = text(f"""
    SELECT wanted.visitor_id, touch.link_id, touch.occurred_at
    FROM unnest(CAST(:visitor_ids AS text[])) AS wanted (visitor_id)
    CROSS JOIN LATERAL (
        SELECT link_id, occurred_at FROM click
        WHERE program_id = :program_id AND visitor_id = wanted.visitor_id AND visitor_id <> ''
          AND kind = {ClickKind.VISIT:d}
          AND click_id >= CAST(:first_id AS uuid) AND occurred_at >= :since
        ORDER BY click_id DESC LIMIT :limit
    ) AS touch
    ORDER BY wanted.visitor_id, touch.occurred_at
""")

_ENSURE_PARTITION = text("SELECT ensure_click_partition(:day)")
_DROP_PARTITIONS = text("SELECT drop_click_partitions(:first_kept)")
_COLUMNS: LiteralString = (
    "click_id, program_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host, kind"
)
_COPY: LiteralString = f"COPY click ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_COPY_STAGE: LiteralString = f"COPY click_stage ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_STAGE = text("CREATE TEMPORARY TABLE click_stage (LIKE click) ON COMMIT DROP")
# Rows of a fresh table are in the order in which they were copied, which is the order of their arrival.
_MERGE = text(f"""
    INSERT INTO click ({_COLUMNS})
    SELECT DISTINCT ON (click_id) {_COLUMNS} FROM click_stage ORDER BY click_id, ctid
    ON CONFLICT (click_id) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class VisitorTouch:
    """A link that a visitor followed."""

    link_id: str
    clicked_at: datetime


async def load_visitor_touches(
    conn: AsyncConnection, program_id: str, visitor_ids: Collection[str], since: datetime
) -> dict[str, list[VisitorTouch]]:
    """Touches at or after `since`, oldest first; visitors without any are absent."""
    found: dict[str, list[VisitorTouch]] = {}
    wanted = {each for each in visitor_ids if each and "\x00" not in each}
    if not wanted:
        return found
    rows = await conn.execute(
        _VISITOR_TOUCHES,
        {
            "program_id": program_id,
            "visitor_ids": sorted(wanted),
            "first_id": lowest_id(since - ID_SLACK),
            "since": since,
            "limit": MAX_TOUCHES_PER_VISITOR,
        },
    )
    for row in rows:
        found.setdefault(row.visitor_id, []).append(VisitorTouch(row.link_id, row.occurred_at))
    return found


def lowest_id(moment: datetime) -> UUID:
    """The lowest click id of a moment; ids before 1970 do not exist."""
    return UUID(int=max(unix_ms(moment), 0) << 80)


async def ensure_partitions(conn: AsyncConnection, days: Collection[int]) -> None:
    """Makes the partitions of days, counted from 1970, that do not exist yet."""
    for day in sorted(days):
        await conn.execute(_ENSURE_PARTITION, {"day": day_date(day)})


async def drop_partitions(conn: AsyncConnection, first_kept: date) -> int:
    """Drops the partitions of earlier days and returns how many."""
    dropped: int = (await conn.execute(_DROP_PARTITIONS, {"first_kept": first_kept})).scalar_one()
    return dropped


async def copy_clicks(conn: AsyncConnection, rows: bytes) -> None:
    """Adds clicks, given as rows of binary COPY. Raises UniqueViolation if one of them is there already, and
    CheckViolation if the partition of one is missing."""
    await _copy(conn, _COPY, rows)


async def merge_clicks(conn: AsyncConnection, rows: bytes) -> None:
    """Adds those clicks that are not there yet; of several with one id, the first. Takes twice the time of a copy."""
    await conn.execute(_STAGE)
    await _copy(conn, _COPY_STAGE, rows)
    await conn.execute(_MERGE)


async def _copy(conn: AsyncConnection, statement: LiteralString, rows: bytes) -> None:
    cursor = (await psycopg_connection(conn)).cursor()
    async with cursor, cursor.copy(statement) as copy:
        await copy.write(rows)


def day_date(day: int) -> date:
    """The date of a day counted from 1970."""
    return date(1970, 1, 1) + timedelta(days=day)
