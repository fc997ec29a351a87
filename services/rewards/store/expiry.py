"""What expires, and whose wallet is to be looked at."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import id_time

_PROGRAMS = text("SELECT DISTINCT program_id FROM plan_version")
_TO_LOOK_AT = text("""
    SELECT participant_id FROM expiring WHERE program_id = :program_id AND asset = :asset AND check_time <= :now
    UNION
    SELECT participant_id FROM (
        SELECT participant_id FROM balance WHERE program_id = :program_id AND asset = :asset AND place = 3 AND amount_minor > 0
        UNION
        SELECT participant_id FROM balance_delta WHERE program_id = :program_id AND asset = :asset AND place = 3 AND delta_minor > 0
    ) AS b
    WHERE NOT EXISTS (SELECT 1 FROM expiring AS e
        WHERE e.program_id = :program_id AND e.asset = :asset AND e.participant_id = b.participant_id)
    LIMIT :limit
""")
_NEXT_LOOK = text("""
    SELECT check_time, warned_until FROM expiring
    WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset FOR UPDATE
""")
# What comes back (8: voided, 9: refunded, 16: a payout that was not paid) is what had left.
_INFLOWS = text("""
    SELECT transfer_id, amount_minor FROM (
        SELECT transfer_id, amount_minor FROM movement WHERE program_id = :program_id AND participant_id = :participant_id
            AND asset = :asset AND credit = 3 AND recipient_id IS NULL AND kind NOT IN (8, 9, 16)
        UNION ALL
        SELECT transfer_id, amount_minor FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND asset = :asset
    ) AS i ORDER BY transfer_id
""")
_OUTFLOW = text("""
    SELECT coalesce(sum(CASE WHEN debit = 3 THEN amount_minor ELSE -amount_minor END), 0)::bigint FROM transfer
    WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset AND (debit = 3 OR kind IN (8, 9, 16))
""")
_LOOK_NEXT = text("""
    INSERT INTO expiring (program_id, participant_id, asset, check_time, warned_until)
    VALUES (:program_id, :participant_id, :asset, :check_time, :warned_until)
    ON CONFLICT (program_id, participant_id, asset) DO UPDATE
    SET check_time = excluded.check_time, warned_until = excluded.warned_until
""")


async def programs(conn: AsyncConnection) -> list[str]:
    """Every program that has a plan."""
    return [row.program_id for row in await conn.execute(_PROGRAMS)]


async def to_look_at(conn: AsyncConnection, program_id: str, asset: str, now: datetime, limit: int) -> list[str]:
    """Participants whose time to be looked at has come, or who were never looked at."""
    parameters = {"program_id": program_id, "asset": asset, "now": now, "limit": limit}
    return [row.participant_id for row in await conn.execute(_TO_LOOK_AT, parameters)]


async def next_look(
    conn: AsyncConnection, program_id: str, participant_id: str, asset: str
) -> tuple[datetime, datetime | None] | None:
    """(when to look, until when what expires was told of), locked: what comes back meanwhile asks for another look after this one.

    None for a wallet that was never looked at.
    """
    key = {"program_id": program_id, "participant_id": participant_id, "asset": asset}
    row = (await conn.execute(_NEXT_LOOK, key)).one_or_none()
    return None if row is None else (row.check_time, row.warned_until)


async def flows(
    conn: AsyncConnection, program_id: str, participant_id: str, asset: str
) -> tuple[list[tuple[datetime, int]], int]:
    """(what became available and when, oldest first; what left). The wallet is locked."""
    key = {"program_id": program_id, "participant_id": participant_id, "asset": asset}
    inflows = [(id_time(row.transfer_id), row.amount_minor) for row in await conn.execute(_INFLOWS, key)]
    outflow: int = (await conn.execute(_OUTFLOW, key)).scalar_one()
    return inflows, outflow


async def look_next(
    conn: AsyncConnection,
    program_id: str,
    participant_id: str,
    asset: str,
    check_time: datetime,
    warned_until: datetime | None,
) -> None:
    """Notes when to look at a wallet again."""
    await conn.execute(
        _LOOK_NEXT,
        {
            "program_id": program_id,
            "participant_id": participant_id,
            "asset": asset,
            "check_time": check_time,
            "warned_until": warned_until,
        },
    )
