"""Sums over the transfers of a period."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import allow_statements
from chassis.ids import least_id
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.wallet.payout_report import AccountChange, TransferTotal

REPORT_TIMEOUT_MS = 5 * 60 * 1000
"""The time that a report may take, since it reads every transfer of the program."""

_ACCOUNTS = text("""
    SELECT asset, place,
        coalesce(sum(amount_minor) FILTER (WHERE transfer_id < CAST(:first AS uuid)), 0)::numeric AS opening_minor,
        coalesce(sum(amount_minor) FILTER (WHERE transfer_id >= CAST(:first AS uuid) AND amount_minor > 0), 0)::numeric
            AS in_minor,
        coalesce(-sum(amount_minor) FILTER (WHERE transfer_id >= CAST(:first AS uuid) AND amount_minor < 0), 0)::numeric
            AS out_minor,
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


async def account_changes(
    conn: AsyncConnection, program_id: str, start: datetime, end: datetime
) -> list[AccountChange]:
    """Accounts by asset and kind, from `start` (inclusive) to `end`, to the millisecond."""
    await allow_statements(conn, REPORT_TIMEOUT_MS)
    return [
        AccountChange(
            row.asset,
            AccountKind(row.place),
            int(row.opening_minor),
            int(row.in_minor),
            int(row.out_minor),
            int(row.closing_minor),
        )
        for row in await conn.execute(_ACCOUNTS, _period(program_id, start, end))
    ]


async def transfer_totals(
    conn: AsyncConnection, program_id: str, start: datetime, end: datetime
) -> list[TransferTotal]:
    """Transfers within the period, by asset and kind."""
    return [
        TransferTotal(row.asset, TransferKind(row.kind), row.transfer_count, int(row.amount_minor))
        for row in await conn.execute(_KINDS, _period(program_id, start, end))
    ]


def _period(program_id: str, start: datetime, end: datetime) -> dict[str, object]:
    return {"program_id": program_id, "first": least_id(start), "last": least_id(end)}
