"""Rewards, wallets and totals, for those who ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import least_id
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind, TransferKind
from services.rewards.domain.settle.settlement import FIRST_POSITION, LAST_POSITION, reward_prefix
from services.rewards.domain.settle.waiting import is_mark
from services.rewards.store.numbers import numbers
from services.rewards.store.waiting import ApprovalState

_REWARD_COLUMNS = """
    r.reward_id, r.program_id, r.conversion_id, r.rule_id, r.beneficiary_id, r.level, r.asset, r.amount_minor, r.hold_until,
    r.plan_version, r.amount_minor + coalesce((SELECT sum(delta_minor)::bigint FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0) AS net_minor,
    EXISTS (SELECT 1 FROM hold AS h WHERE h.program_id = r.program_id AND h.conversion_id = r.conversion_id AND h.due_time = r.hold_until) AS held,
    w.event_type AS until_event, w.approval,
    CASE WHEN EXISTS (SELECT 1 FROM reward_revision WHERE reward_id = r.reward_id AND reversal_id = '') THEN w.reason END AS reason
"""
# What is marked as waiting for more than time; nothing else has a row there.
_WAITS = """LEFT JOIN hold_wait AS w ON w.program_id = r.program_id AND w.conversion_id = r.conversion_id AND w.mark = r.hold_until
        AND r.hold_until >= '9000-01-01Z'"""
_OF_BENEFICIARY = text(f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.program_id = :program_id AND r.beneficiary_id = :beneficiary_id AND r.reward_id < CAST(:before AS uuid)
    ORDER BY r.reward_id DESC LIMIT :limit
""")
_OF_CONVERSION = text(f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.beneficiary_id = ANY (CAST(:people AS text[])) AND r.program_id = :program_id
        AND r.reward_id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid) AND r.reward_id > CAST(:after AS uuid)
        AND r.conversion_id = :conversion_id
    ORDER BY r.reward_id LIMIT :limit
""")
_ONE = text(f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.beneficiary_id = ANY (CAST(:people AS text[])) AND r.program_id = :program_id
        AND r.reward_id = CAST(:reward_id AS uuid) AND r.conversion_id = :conversion_id
""")
_REVISIONS = text("""
    SELECT reversal_id, delta_minor, record_time FROM reward_revision
    WHERE reward_id = CAST(:reward_id AS uuid) ORDER BY record_time, reversal_id
""")
_BALANCES = text("""
    SELECT asset, place, sum(amount_minor)::bigint AS amount_minor FROM (
        SELECT asset, place, amount_minor FROM balance WHERE program_id = :program_id AND participant_id = :participant_id
        UNION ALL
        SELECT asset, place, delta_minor FROM balance_delta WHERE program_id = :program_id AND participant_id = :participant_id
    ) AS b GROUP BY asset, place
""")
# By the ids, so by the times of what they stand for: a millisecond is the finest that they tell.
_BALANCES_AT = text(f"""
    SELECT asset, place, sum(amount_minor)::bigint AS amount_minor FROM (
        SELECT asset, debit AS place, -amount_minor AS amount_minor FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:end AS uuid)
        UNION ALL
        SELECT asset, credit, amount_minor FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:end AS uuid)
            AND recipient_id IS NULL
        UNION ALL
        SELECT asset, credit, amount_minor FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND transfer_id < CAST(:end AS uuid)
    ) AS m WHERE place IN ({numbers(*sorted(PARTICIPANT_ACCOUNT_KINDS))}) GROUP BY asset, place
""")
_TRANSFERS = text("""
    SELECT * FROM (
        SELECT transfer_id, kind, participant_id, recipient_id, debit, credit, asset, amount_minor, reward_id, cause_id FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:before AS uuid)
        ORDER BY transfer_id DESC LIMIT :limit
    ) AS own
    UNION ALL
    SELECT * FROM (
        SELECT transfer_id, kind, participant_id, recipient_id, debit, credit, asset, amount_minor, reward_id, cause_id FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND transfer_id < CAST(:before AS uuid)
        ORDER BY transfer_id DESC LIMIT :limit
    ) AS received
    ORDER BY transfer_id DESC LIMIT :limit
""")
_CONVERSION_TOTALS = text("""
    SELECT count(*) AS conversion_count, coalesce(sum(amount_minor), 0)::bigint AS gross_minor,
        (SELECT count(*) FROM reversal WHERE program_id = :program_id) AS reversal_count
    FROM conversion WHERE program_id = :program_id AND event IS NOT NULL
""")
_ASSET_TOTALS = text("""
    SELECT asset, count(*) AS reward_count, sum(amount_minor)::bigint AS accrued_minor,
        count(DISTINCT beneficiary_id) AS earner_count
    FROM reward WHERE program_id = :program_id GROUP BY asset ORDER BY asset
""")
_TAKEN_TOTALS = text(f"""
    SELECT asset, coalesce(sum(amount_minor) FILTER (WHERE kind = {TransferKind.REVERSAL:d}), 0)::bigint AS reversed_minor,
        coalesce(sum(amount_minor) FILTER (WHERE kind = {TransferKind.REJECTION:d}), 0)::bigint AS rejected_minor
    FROM transfer WHERE program_id = :program_id AND kind IN ({TransferKind.REVERSAL:d}, {TransferKind.REJECTION:d})
    GROUP BY asset
""")
_EARNED = numbers(AccountKind.HELD, AccountKind.AVAILABLE)
_TOP = text(f"""
    SELECT asset, participant_id, amount_minor FROM (
        SELECT asset, participant_id, sum(amount_minor)::bigint AS amount_minor,
            row_number() OVER (PARTITION BY asset ORDER BY sum(amount_minor) DESC, participant_id COLLATE "C") AS rank
        FROM (
            SELECT asset, participant_id, amount_minor FROM balance
            WHERE program_id = :program_id AND place IN ({_EARNED})
            UNION ALL
            SELECT asset, participant_id, delta_minor FROM balance_delta
            WHERE program_id = :program_id AND place IN ({_EARNED})
        ) AS b GROUP BY asset, participant_id
    ) AS ranked WHERE rank <= :top_count AND amount_minor <> 0 ORDER BY asset, rank
""")
_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

LAST_ID = "f" * 32
FIRST_ID = "0" * 32
ALL = 100_000
"""More than any plan can pay for one conversion."""


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as it stands."""

    reward_id: str
    program_id: str
    conversion_id: str
    rule_id: str
    beneficiary_id: str
    level: int
    asset: str
    amount_minor: int
    net_minor: int
    hold_until: datetime | None
    plan_version: int
    held: bool
    until_event: str
    """The event that it waits for; empty for none, and when it is no longer held."""
    awaits_approval: bool
    rejection_reason: str
    """Empty if nobody refused it."""


async def on_one_snapshot(conn: AsyncConnection) -> None:
    """Makes all that the transaction reads belong together, whatever is settled meanwhile. Must be its first statement."""
    await conn.execute(_ONE_SNAPSHOT)


async def rewards_of_beneficiary(
    conn: AsyncConnection, program_id: str, beneficiary_id: str, before: str, limit: int
) -> list[RewardView]:
    """One beneficiary's rewards with ids below `before`, newest first."""
    rows = await conn.execute(
        _OF_BENEFICIARY,
        {"program_id": program_id, "beneficiary_id": beneficiary_id, "before": before, "limit": limit},
    )
    return [_view(row) for row in rows]


async def rewards_of_conversion(
    conn: AsyncConnection, conversion: Conversion, after: str, limit: int
) -> list[RewardView]:
    """One conversion's rewards with ids above `after`, in the order of rules and levels."""
    prefix = reward_prefix(conversion)
    rows = await conn.execute(
        _OF_CONVERSION,
        {
            "people": conversion.people,
            "program_id": conversion.program_id,
            "conversion_id": conversion.conversion_id,
            "first": prefix + FIRST_POSITION,
            "last": prefix + LAST_POSITION,
            "after": after,
            "limit": limit,
        },
    )
    return [_view(row) for row in rows]


async def reward(conn: AsyncConnection, conversion: Conversion, reward_id: str) -> RewardView | None:
    """One reward of a conversion; None if there is none."""
    parameters = {
        "people": conversion.people,
        "program_id": conversion.program_id,
        "conversion_id": conversion.conversion_id,
        "reward_id": reward_id,
    }
    row = (await conn.execute(_ONE, parameters)).one_or_none()
    return None if row is None else _view(row)


async def revisions(conn: AsyncConnection, reward_id: str) -> list[Row[Any]]:
    """What reversals took back of a reward, oldest first: reversal_id, delta_minor, record_time."""
    return list((await conn.execute(_REVISIONS, {"reward_id": reward_id})).all())


async def balances(conn: AsyncConnection, program_id: str, participant_id: str) -> dict[tuple[str, int], int]:
    """A participant's balances by asset and place."""
    rows = await conn.execute(_BALANCES, {"program_id": program_id, "participant_id": participant_id})
    return {(row.asset, row.place): row.amount_minor for row in rows}


async def balances_at(
    conn: AsyncConnection, program_id: str, participant_id: str, moment: datetime
) -> dict[tuple[str, int], int]:
    """A participant's balances by asset and place as they were at `moment` (inclusive): the sums of what moved until then."""
    end = least_id(moment + timedelta(milliseconds=1))
    parameters = {"program_id": program_id, "participant_id": participant_id, "end": end}
    return {(row.asset, row.place): row.amount_minor for row in await conn.execute(_BALANCES_AT, parameters)}


async def transfers(
    conn: AsyncConnection, program_id: str, participant_id: str, before: str, limit: int
) -> list[Row[Any]]:
    """A participant's transfers with ids below `before`, newest first; also what others passed on to him."""
    parameters = {"program_id": program_id, "participant_id": participant_id, "before": before, "limit": limit}
    return list((await conn.execute(_TRANSFERS, parameters)).all())


async def conversion_totals(conn: AsyncConnection, program_id: str) -> Row[Any]:
    """conversion_count, gross_minor, reversal_count."""
    return (await conn.execute(_CONVERSION_TOTALS, {"program_id": program_id})).one()


async def asset_totals(conn: AsyncConnection, program_id: str) -> list[Row[Any]]:
    """By asset: reward_count, accrued_minor, earner_count."""
    return list((await conn.execute(_ASSET_TOTALS, {"program_id": program_id})).all())


async def taken_totals(conn: AsyncConnection, program_id: str) -> dict[str, tuple[int, int]]:
    """(what reversals took back, what people refused) by asset."""
    rows = await conn.execute(_TAKEN_TOTALS, {"program_id": program_id})
    return {row.asset: (row.reversed_minor, row.rejected_minor) for row in rows}


async def top_earners(conn: AsyncConnection, program_id: str, top_count: int) -> dict[str, list[tuple[str, int]]]:
    """By asset, those who hold most."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in await conn.execute(_TOP, {"program_id": program_id, "top_count": top_count}):
        found.setdefault(row.asset, []).append((row.participant_id, row.amount_minor))
    return found


def _view(row: Row[Any]) -> RewardView:
    return RewardView(
        row.reward_id.hex,
        row.program_id,
        row.conversion_id,
        row.rule_id,
        row.beneficiary_id,
        row.level,
        row.asset,
        row.amount_minor,
        row.net_minor,
        None if is_mark(row.hold_until) else row.hold_until,
        row.plan_version,
        row.held,
        (row.until_event or "") if row.held else "",
        row.approval == ApprovalState.PENDING,
        row.reason or "",
    )
