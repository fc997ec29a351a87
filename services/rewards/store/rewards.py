"""Rewards as they stand, and their sums, for those who ask."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.reward import AssetTotals, ProgramTotals, RevisionView, RewardView
from services.rewards.domain.settle.holds import is_mark
from services.rewards.domain.settle.ids import FIRST_POSITION, LAST_POSITION, reward_prefix
from services.rewards.store.holds import ApprovalState
from services.rewards.store.numbers import numbers

_REWARD_COLUMNS = """
    r.reward_id, r.program_id, r.conversion_id, r.rule_id, r.beneficiary_id, r.level, r.asset, r.amount_minor,
    r.hold_until, r.plan_version,
    r.amount_minor + coalesce(
        (SELECT sum(delta_minor)::bigint FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0) AS net_minor,
    EXISTS (SELECT 1 FROM hold AS h WHERE h.program_id = r.program_id AND h.conversion_id = r.conversion_id
        AND h.due_time = r.hold_until) AS held,
    w.event_type AS until_event, w.approval,
    CASE WHEN EXISTS (SELECT 1 FROM reward_revision WHERE reward_id = r.reward_id AND reversal_id = '')
        THEN w.reason END AS reason
"""
# Only rewards that are marked as waiting for more than time have a row there.
_WAITS = """LEFT JOIN hold_wait AS w ON w.program_id = r.program_id AND w.conversion_id = r.conversion_id
        AND w.mark = r.hold_until AND r.hold_until >= '9000-01-01Z'"""
_ROW_BYTES = "octet_length(concat(program_id, conversion_id, rule_id, beneficiary_id, asset, until_event, reason))"
_OF_BENEFICIARY = within_budget(
    f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.program_id = :program_id AND r.beneficiary_id = :beneficiary_id AND r.reward_id < CAST(:before AS uuid)
    ORDER BY r.reward_id DESC LIMIT :limit
    """,
    _ROW_BYTES,
    "reward_id DESC",
)
_OF_CONVERSION_LISTING = f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.beneficiary_id = ANY (CAST(:people AS text[])) AND r.program_id = :program_id
        AND r.reward_id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid) AND r.reward_id > CAST(:after AS uuid)
        AND r.conversion_id = :conversion_id {{which}}
    ORDER BY r.reward_id LIMIT :limit
"""
_OF_CONVERSION = within_budget(_OF_CONVERSION_LISTING.format(which=""), _ROW_BYTES, "reward_id")
_PENDING = within_budget(
    _OF_CONVERSION_LISTING.format(which=f"AND w.approval = {ApprovalState.PENDING:d}"), _ROW_BYTES, "reward_id"
)
_ONE = text(f"""
    SELECT {_REWARD_COLUMNS} FROM reward AS r {_WAITS}
    WHERE r.beneficiary_id = ANY (CAST(:people AS text[])) AND r.program_id = :program_id
        AND r.reward_id = CAST(:reward_id AS uuid) AND r.conversion_id = :conversion_id
""")
_REVISIONS = text("""
    SELECT reversal_id, delta_minor, record_time FROM reward_revision
    WHERE reward_id = CAST(:reward_id AS uuid) ORDER BY record_time, reversal_id
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
_LOST_TOTALS = text(f"""
    SELECT asset,
        coalesce(sum(amount_minor) FILTER (WHERE kind = {TransferKind.REVERSAL:d}), 0)::bigint AS reversed_minor,
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

LAST_ID = "f" * 32
FIRST_ID = "0" * 32
ALL = 100_000
"""More than any plan can pay for one conversion."""


async def of_beneficiary(
    conn: AsyncConnection, program_id: str, beneficiary_id: str, before: str, limit: int
) -> Portion[RewardView]:
    """One beneficiary's rewards with ids below `before`, newest first."""
    wanted = {"program_id": program_id, "beneficiary_id": beneficiary_id, "before": before, "limit": limit}
    return await read_portion(conn, _OF_BENEFICIARY, wanted, _view)


async def of_conversion(
    conn: AsyncConnection, conversion: Conversion, after: str = FIRST_ID, limit: int = ALL
) -> Portion[RewardView]:
    """One conversion's rewards with ids above `after`, in the order of rules and levels."""
    return await read_portion(conn, _OF_CONVERSION, _parameters(conversion, after, limit), _view)


async def pending(conn: AsyncConnection, conversion: Conversion) -> Portion[RewardView]:
    """One conversion's rewards that wait for a person's approval, in the order of rules and levels."""
    return await read_portion(conn, _PENDING, _parameters(conversion, FIRST_ID, ALL), _view)


def _parameters(conversion: Conversion, after: str, limit: int) -> dict[str, Any]:
    prefix = reward_prefix(conversion)
    return {
        "people": conversion.people,
        "program_id": conversion.program_id,
        "conversion_id": conversion.conversion_id,
        "first": prefix + FIRST_POSITION,
        "last": prefix + LAST_POSITION,
        "after": after,
        "limit": limit,
    }


async def load(conn: AsyncConnection, conversion: Conversion, reward_id: str) -> RewardView | None:
    """One reward of a conversion; None if there is none."""
    parameters = {
        "people": conversion.people,
        "program_id": conversion.program_id,
        "conversion_id": conversion.conversion_id,
        "reward_id": reward_id,
    }
    row = (await conn.execute(_ONE, parameters)).one_or_none()
    return None if row is None else _view(row)


async def revisions(conn: AsyncConnection, reward_id: str) -> list[RevisionView]:
    """The changes of a reward after its accrual, oldest first."""
    rows = await conn.execute(_REVISIONS, {"reward_id": reward_id})
    return [RevisionView(row.reversal_id, row.delta_minor, row.record_time) for row in rows]


async def program_totals(conn: AsyncConnection, program_id: str, top_count: int) -> ProgramTotals:
    """The sums of a program, and the `top_count` participants who hold most of each asset."""
    key = {"program_id": program_id}
    sums = (await conn.execute(_CONVERSION_TOTALS, key)).one()
    assets = (await conn.execute(_ASSET_TOTALS, key)).all()
    lost = {row.asset: (row.reversed_minor, row.rejected_minor) for row in await conn.execute(_LOST_TOTALS, key)}
    top: dict[str, list[tuple[str, int]]] = {}
    for row in await conn.execute(_TOP, key | {"top_count": top_count}):
        top.setdefault(row.asset, []).append((row.participant_id, row.amount_minor))
    return ProgramTotals(
        sums.conversion_count,
        sums.gross_minor,
        sums.reversal_count,
        [
            AssetTotals(
                row.asset,
                row.reward_count,
                row.accrued_minor,
                *lost.get(row.asset, (0, 0)),
                earner_count=row.earner_count,
                top=top.get(row.asset, ()),
            )
            for row in assets
        ],
    )


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
