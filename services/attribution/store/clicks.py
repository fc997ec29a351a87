"""Clicks: their partitions, how they get in, and what visitors touched."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.times import unix_ms

MAX_TOUCHES_PER_VISITOR = 1_000
"""The newest ones count. Whoever follows more links inside one window is a machine."""
ID_SLACK = timedelta(days=4)
"""A click's id may be this much older than the click: the intake holds both within a few days of the present."""

_VISITOR_TOUCHES = text("""
    SELECT wanted.visitor_id, touch.link_id, touch.occurred_at
    FROM unnest(CAST(:visitor_ids AS text[])) AS wanted (visitor_id)
    CROSS JOIN LATERAL (
        SELECT link_id, occurred_at FROM click
        WHERE program_id = :program_id AND visitor_id = wanted.visitor_id AND visitor_id <> ''
          AND click_id >= CAST(:first_id AS uuid) AND occurred_at >= :since
        ORDER BY click_id DESC LIMIT :limit
    ) AS touch
    ORDER BY wanted.visitor_id, touch.occurred_at
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
