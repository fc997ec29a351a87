"""Value that expires, and the wallets that are to be scanned for it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import id_time
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.settle.debts import PocketKey
from services.rewards.store.numbers import numbers

_PROGRAMS = text("SELECT DISTINCT program_id FROM plan_version")
_DUE_SCANS = text(f"""
    SELECT participant_id FROM expiring WHERE program_id = :program_id AND asset = :asset AND check_time <= :now
        AND participant_id <> ALL (CAST(:passing AS text[]))
    UNION
    SELECT participant_id FROM (
        SELECT participant_id FROM balance
        WHERE program_id = :program_id AND asset = :asset AND place = {AccountKind.AVAILABLE:d} AND amount_minor > 0
        UNION
        SELECT participant_id FROM balance_delta
        WHERE program_id = :program_id AND asset = :asset AND place = {AccountKind.AVAILABLE:d} AND delta_minor > 0
    ) AS b
    WHERE NOT EXISTS (SELECT 1 FROM expiring AS e
        WHERE e.program_id = :program_id AND e.asset = :asset AND e.participant_id = b.participant_id)
        AND participant_id <> ALL (CAST(:passing AS text[]))
    LIMIT :limit
""")
_LOCK_SCAN = text("""
    SELECT check_time, warned_until FROM expiring
    WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset FOR UPDATE
""")
_COMES_BACK = numbers(
    TransferKind.VOID, TransferKind.REDEMPTION_REFUND, TransferKind.PAYOUT_RETURN, TransferKind.PAYOUT_BOUNCE
)
_EXPIRED_BEFORE = f"(kind = {TransferKind.REVERSAL:d} AND debit = {AccountKind.EXPIRED:d})"
"""The condition that a transfer takes back what had expired."""
# The reward of which something was taken back is that much less from the beginning, whichever account paid for it.
_INFLOWS = text(f"""
    SELECT transfer_id, amount_minor - coalesce(taken_minor, 0) AS amount_minor FROM (
        SELECT transfer_id, amount_minor, reward_id FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset
            AND credit = {AccountKind.AVAILABLE:d} AND recipient_id IS NULL AND kind NOT IN ({_COMES_BACK})
        UNION ALL
        SELECT transfer_id, amount_minor, NULL FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND asset = :asset
    ) AS i LEFT JOIN (
        SELECT reward_id, sum(amount_minor)::bigint AS taken_minor FROM transfer
        WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset
            AND kind = {TransferKind.REVERSAL:d} AND debit <> {AccountKind.HELD:d}
        GROUP BY reward_id
    ) AS t USING (reward_id) ORDER BY transfer_id
""")
# Value that comes back had left before, and so had the expired part of a reward that is no more. Value that was taken
# back is missing among the inflows already, and so is the debt for it.
_OUTFLOW = text(f"""
    SELECT coalesce(sum(CASE WHEN debit = {AccountKind.AVAILABLE:d} THEN amount_minor ELSE -amount_minor END), 0)
    FROM transfer
    WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset
        AND ((debit = {AccountKind.AVAILABLE:d}
            AND kind NOT IN ({TransferKind.REVERSAL:d}, {TransferKind.DEBT_SETTLEMENT:d}))
            OR kind IN ({_COMES_BACK}) OR {_EXPIRED_BEFORE})
""")
_EXPIRED = text(f"""
    SELECT program_id, participant_id, asset, transfer_id, amount_minor, reward_id FROM transfer
    WHERE (program_id, participant_id) IN (SELECT *
        FROM unnest(CAST(:program_ids AS text[]), CAST(:participants AS text[])))
        AND (kind = {TransferKind.EXPIRY:d} OR {_EXPIRED_BEFORE})
    ORDER BY transfer_id
""")
_RELEASED = text(f"""
    SELECT reward_id, transfer_id FROM transfer
    WHERE (program_id, participant_id) IN (SELECT *
        FROM unnest(CAST(:program_ids AS text[]), CAST(:participants AS text[])))
        AND kind = {TransferKind.RELEASE:d} AND reward_id = ANY (CAST(:reward_ids AS uuid[]))
""")
_SCHEDULE_SCAN = text("""
    INSERT INTO expiring (program_id, participant_id, asset, check_time, warned_until)
    VALUES (:program_id, :participant_id, :asset, :check_time, :warned_until)
    ON CONFLICT (program_id, participant_id, asset) DO UPDATE
    SET check_time = excluded.check_time, warned_until = excluded.warned_until
""")


async def programs(conn: AsyncConnection) -> list[str]:
    """Every program that has a plan."""
    return [row.program_id for row in await conn.execute(_PROGRAMS)]


async def due_scans(
    conn: AsyncConnection, program_id: str, asset: str, now: datetime, passing: Sequence[str], limit: int
) -> list[str]:
    """Participants whose wallets are due to be scanned, or were never scanned, but for those passing."""
    parameters = {"program_id": program_id, "asset": asset, "now": now, "passing": passing, "limit": limit}
    return [row.participant_id for row in await conn.execute(_DUE_SCANS, parameters)]


async def lock_scan(
    conn: AsyncConnection, program_id: str, participant_id: str, asset: str
) -> tuple[datetime, datetime | None] | None:
    """When the next scan of a wallet is due, and until when its owner was warned; None for one that was never scanned.

    The row is locked: value that comes back meanwhile asks for another scan after this one.
    """
    key = {"program_id": program_id, "participant_id": participant_id, "asset": asset}
    row = (await conn.execute(_LOCK_SCAN, key)).one_or_none()
    return None if row is None else (row.check_time, row.warned_until)


async def flows(
    conn: AsyncConnection, program_id: str, participant_id: str, asset: str
) -> tuple[list[tuple[datetime, int]], int]:
    """The inflows of a wallet with their times, oldest first, and its outflow. The wallet is locked."""
    key = {"program_id": program_id, "participant_id": participant_id, "asset": asset}
    inflows = [(id_time(row.transfer_id), row.amount_minor) for row in await conn.execute(_INFLOWS, key)]
    outflow = int((await conn.execute(_OUTFLOW, key)).scalar_one())  # a sum may be beyond int64
    return inflows, outflow


async def expired_transfers(conn: AsyncConnection, pockets: Collection[PocketKey]) -> list[Row[Any]]:
    """The transfers by which value of the pockets' owners expired, oldest first, and those that took it back since,
    which alone have a reward. The wallets are locked."""
    return list((await conn.execute(_EXPIRED, _owners(pockets))).all())


async def available_times(
    conn: AsyncConnection, pockets: Collection[PocketKey], reward_ids: Iterable[str]
) -> dict[str, datetime]:
    """When rewards of these pockets became available, by id: when they were released, or accrued if they were never
    held."""
    times = {each: id_time(UUID(each)) for each in reward_ids}
    rows = await conn.execute(_RELEASED, {**_owners(pockets), "reward_ids": sorted(times)})
    return times | {row.reward_id.hex: id_time(row.transfer_id) for row in rows}


def _owners(pockets: Collection[PocketKey]) -> dict[str, list[str]]:
    owners = sorted({(program_id, participant_id) for program_id, participant_id, _ in pockets})
    return {"program_ids": [each[0] for each in owners], "participants": [each[1] for each in owners]}


async def schedule_scan(
    conn: AsyncConnection,
    program_id: str,
    participant_id: str,
    asset: str,
    check_time: datetime,
    warned_until: datetime | None,
) -> None:
    """Stores when a wallet is to be scanned again."""
    await conn.execute(
        _SCHEDULE_SCAN,
        {
            "program_id": program_id,
            "participant_id": participant_id,
            "asset": asset,
            "check_time": check_time,
            "warned_until": warned_until,
        },
    )
