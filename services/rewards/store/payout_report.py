"""What a period added up to."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import least_id

REPORT_TIMEOUT_MS = 5 * 60 * 1000
"""It reads every transfer of the program."""

_ACCOUNTS = text("""
    SELECT asset, place, coalesce(sum(amount_minor) FILTER (WHERE transfer_id < CAST(:first AS uuid)), 0)::numeric AS opening_minor,
        coalesce(sum(amount_minor) FILTER (WHERE transfer_id >= CAST(:first AS uuid) AND amount_minor > 0), 0)::numeric AS in_minor,
        coalesce(-sum(amount_minor) FILTER (WHERE transfer_id >= CAST(:first AS uuid) AND amount_minor < 0), 0)::numeric AS out_minor,
        sum(amount_minor)::numeric AS closing_minor
    FROM (
        SELECT asset, credit AS place, transfer_id, amount_minor FROM movement
        WHERE program_id = :program_id AND transfer_id < CAST(:last AS uuid)
        UNION ALL
        SELECT asset, debit, transfer_id, -amount_minor FROM movement
        WHERE program_id = :program_id AND transfer_id < CAST(:last AS uuid)
    ) AS m GROUP BY asset, place ORDER BY asset COLLATE "C", place
""")
_KINDS = text("""
    SELECT asset, kind, count(*) AS transfer_count, sum(amount_minor)::numeric AS amount_minor FROM movement
    WHERE program_id = :program_id AND transfer_id >= CAST(:first AS uuid) AND transfer_id < CAST(:last AS uuid)
    GROUP BY asset, kind ORDER BY asset COLLATE "C", kind
""")


async def accounts(conn: AsyncConnection, program_id: str, start: datetime, end: datetime) -> list[Row[Any]]:
    """By asset and place: opening_minor, in_minor, out_minor, closing_minor. From `start` (inclusive) to `end`, to the millisecond."""
    await conn.execute(text(f"SET LOCAL statement_timeout = {REPORT_TIMEOUT_MS}"))
    return list((await conn.execute(_ACCOUNTS, _period(program_id, start, end))).all())


async def kinds(conn: AsyncConnection, program_id: str, start: datetime, end: datetime) -> list[Row[Any]]:
    """By asset and kind of transfer within the period: transfer_count, amount_minor."""
    return list((await conn.execute(_KINDS, _period(program_id, start, end))).all())


def _period(program_id: str, start: datetime, end: datetime) -> dict[str, object]:
    return {"program_id": program_id, "first": least_id(start), "last": least_id(end)}
