"""What must hold in the ledger, as queries for what does not."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_FINDINGS = 100
AUDIT_TIMEOUT_MS = 15 * 60 * 1000
"""An audit reads every transfer; it may take longer than a request's statement."""

_SCOPE = "(:program_id = '' OR program_id = :program_id)"
_ISSUANCE, _HELD, _AVAILABLE = 1, 2, 3

_BALANCES = f"""
    SELECT program_id, participant_id, place, asset, sum(amount_minor) AS amount_minor FROM (
        SELECT program_id, participant_id, place, asset, amount_minor FROM balance WHERE {_SCOPE}
        UNION ALL
        SELECT program_id, participant_id, place, asset, delta_minor FROM balance_delta WHERE {_SCOPE}
    ) AS b GROUP BY 1, 2, 3, 4
"""
_FROM_TRANSFERS = f"""
    SELECT program_id, CASE place WHEN {_ISSUANCE} THEN '' ELSE participant_id END AS participant_id, place, asset,
        sum(amount_minor) AS amount_minor FROM (
        SELECT program_id, participant_id, debit AS place, asset, -amount_minor AS amount_minor FROM transfer WHERE {_SCOPE}
        UNION ALL
        SELECT program_id, participant_id, credit, asset, amount_minor FROM transfer WHERE {_SCOPE}
    ) AS t GROUP BY 1, 2, 3, 4
"""
_BALANCE_DIFFERS = text(f"""
    SELECT coalesce(b.program_id, t.program_id) AS program_id,
        concat((ARRAY['issuance', 'held:', 'available:'])[coalesce(b.place, t.place)], coalesce(b.participant_id, t.participant_id), ' ', coalesce(b.asset, t.asset)) AS subject,
        format('transfers say %s, the balance says %s', coalesce(t.amount_minor, 0), coalesce(b.amount_minor, 0)) AS detail
    FROM ({_BALANCES}) AS b
    FULL JOIN ({_FROM_TRANSFERS}) AS t USING (program_id, participant_id, place, asset)
    WHERE coalesce(b.amount_minor, 0) <> coalesce(t.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
""")
_NEGATIVE = text(f"""
    SELECT program_id, concat((ARRAY['', 'held:', 'available:'])[place], participant_id, ' ', asset) AS subject,
        format('is %s', amount_minor) AS detail
    FROM ({_BALANCES}) AS b WHERE place <> {_ISSUANCE} AND amount_minor < 0
    LIMIT {MAX_FINDINGS}
""")
_REWARD_DIFFERS = text(f"""
    WITH moved AS (
        SELECT reward_id, sum(CASE WHEN kind = 1 THEN amount_minor WHEN kind = 3 THEN -amount_minor ELSE 0 END) AS net_minor,
            sum(CASE WHEN kind = 1 THEN amount_minor ELSE 0 END) AS accrued_minor
        FROM transfer WHERE {_SCOPE} GROUP BY reward_id
    ), owed AS (
        SELECT reward_id, program_id, amount_minor, amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0) AS net_minor
        FROM reward AS r WHERE {_SCOPE}
    )
    SELECT coalesce(owed.program_id, '?') AS program_id, replace(coalesce(owed.reward_id, moved.reward_id)::text, '-', '') AS subject,
        format('reward says %s (net %s), transfers say %s (net %s)', owed.amount_minor, owed.net_minor, moved.accrued_minor, moved.net_minor) AS detail
    FROM owed FULL JOIN moved USING (reward_id)
    WHERE owed.net_minor IS DISTINCT FROM moved.net_minor OR owed.amount_minor IS DISTINCT FROM moved.accrued_minor OR owed.net_minor < 0
    LIMIT {MAX_FINDINGS}
""")
_HOLD_DIFFERS = text(f"""
    WITH held AS (
        SELECT r.program_id, r.beneficiary_id AS participant_id, r.asset, sum(r.amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0)) AS amount_minor
        FROM reward AS r
        JOIN hold AS h ON h.program_id = r.program_id AND h.conversion_id = r.conversion_id AND h.due_time = r.hold_until
        WHERE (:program_id = '' OR r.program_id = :program_id) GROUP BY 1, 2, 3
    ), balances AS (
        SELECT program_id, participant_id, asset, amount_minor FROM ({_BALANCES}) AS b WHERE place = {_HELD} AND amount_minor <> 0
    )
    SELECT program_id, concat('held:', participant_id, ' ', asset) AS subject,
        format('rewards on hold say %s, the balance says %s', coalesce(held.amount_minor, 0), coalesce(balances.amount_minor, 0)) AS detail
    FROM held FULL JOIN balances USING (program_id, participant_id, asset)
    WHERE coalesce(held.amount_minor, 0) <> coalesce(balances.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
""")
_DEAD_LETTERS = text(f"""
    SELECT '' AS program_id, message_id AS subject, format('%s failed %s times: %s', consumer, attempts, error) AS detail
    FROM dead_letter WHERE park_time IS NOT NULL ORDER BY park_time LIMIT {MAX_FINDINGS}
""")
_CHECKS = {
    "BALANCE_DIFFERS": _BALANCE_DIFFERS,
    "NEGATIVE_BALANCE": _NEGATIVE,
    "REWARD_DIFFERS": _REWARD_DIFFERS,
    "HOLD_DIFFERS": _HOLD_DIFFERS,
}
_COUNTS = text(f"""
    SELECT (SELECT count(*) FROM transfer WHERE {_SCOPE}) AS transfer_count,
        (SELECT count(*) FROM reward WHERE {_SCOPE}) AS reward_count,
        (SELECT count(*) FROM ({_BALANCES}) AS b) AS account_count
""")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold."""

    check: str
    program_id: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of one audit."""

    transfer_count: int
    account_count: int
    reward_count: int
    findings: tuple[Finding, ...]


async def run(conn: AsyncConnection, program_id: str) -> Audit:
    """Runs every check on one snapshot. Must be the first thing in its transaction."""
    await conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    await conn.execute(text(f"SET LOCAL statement_timeout = {AUDIT_TIMEOUT_MS}"))
    scope = {"program_id": program_id}
    findings = []
    for name, statement in _CHECKS.items():
        rows = await conn.execute(statement, scope)
        findings += [Finding(name, row.program_id, row.subject, row.detail) for row in rows]
    findings += [
        Finding("DEAD_LETTER", row.program_id, row.subject, row.detail) for row in await conn.execute(_DEAD_LETTERS)
    ]
    counts = (await conn.execute(_COUNTS, scope)).one()
    return Audit(counts.transfer_count, counts.account_count, counts.reward_count, tuple(findings[:MAX_FINDINGS]))
