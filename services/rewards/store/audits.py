"""The checks of an audit: queries for everything in the ledger that contradicts itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import allow_statements
from chassis.ids import least_id
from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind, TransferKind
from services.rewards.domain.wallet.payout import PayoutState
from services.rewards.domain.wallet.redemption import RedemptionState
from services.rewards.store.holds import WAITS_FOR_NOBODY
from services.rewards.store.numbers import number_rows, numbers

MAX_FINDINGS = 100
AUDIT_TIMEOUT_MS = 15 * 60 * 1000
"""An audit reads every transfer; it may take longer than a request's statement."""
OVERDUE = timedelta(minutes=10)
"""Work that is done within a second or two, and is not done after this long, is not done by itself any more."""
MISSING = timedelta(hours=1)
"""The event of a conversion leaves before those of its reversals; it may be delivered later, but not so much later."""

FLOW_CHECKS = frozenset(
    {
        "HOLD_OVERDUE", "CONTEST_OVERDUE", "DEBT_OVERDUE", "CONVERSION_MISSING", "NOT_PUBLISHED", "DEAD_LETTER",
        "PLAN_UNREADABLE",
    }
)  # fmt: skip
"""The checks of what is on its way to the ledger; all others are of the ledger itself."""

_SCOPE = "(:program_id = '' OR program_id = :program_id)"
_OF_PARTICIPANTS = numbers(*sorted(PARTICIPANT_ACCOUNT_KINDS))
_MAY_BE_NEGATIVE = numbers(AccountKind.ISSUANCE, AccountKind.DEBT, AccountKind.EXCHANGE)
"""The exchange is negative in an asset that was taken."""
_OF_REWARDS = number_rows(
    [
        (TransferKind.ACCRUAL, AccountKind.ISSUANCE, AccountKind.HELD),
        (TransferKind.ACCRUAL, AccountKind.ISSUANCE, AccountKind.AVAILABLE),
        (TransferKind.RELEASE, AccountKind.HELD, AccountKind.AVAILABLE),
        (TransferKind.REVERSAL, AccountKind.HELD, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.AVAILABLE, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.DEBT, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.EXPIRED, AccountKind.ISSUANCE),
        (TransferKind.REJECTION, AccountKind.HELD, AccountKind.ISSUANCE),
    ]
)
"""(kind, debit, credit) of transfers that are about a reward."""
_OF_NO_REWARD = number_rows(
    [
        (TransferKind.DEBT_SETTLEMENT, AccountKind.AVAILABLE, AccountKind.DEBT),
        (TransferKind.AUTHORIZATION, AccountKind.AVAILABLE, AccountKind.RESERVED),
        (TransferKind.CAPTURE, AccountKind.RESERVED, AccountKind.REDEEMED),
        (TransferKind.VOID, AccountKind.RESERVED, AccountKind.AVAILABLE),
        (TransferKind.REDEMPTION_REFUND, AccountKind.REDEEMED, AccountKind.AVAILABLE),
        (TransferKind.PURCHASE, AccountKind.AVAILABLE, AccountKind.REDEEMED),
        (TransferKind.EXCHANGE, AccountKind.AVAILABLE, AccountKind.EXCHANGE),
        (TransferKind.EXCHANGE, AccountKind.EXCHANGE, AccountKind.AVAILABLE),
        (TransferKind.GIFT, AccountKind.AVAILABLE, AccountKind.AVAILABLE),
        (TransferKind.PAYOUT_REQUEST, AccountKind.AVAILABLE, AccountKind.RESERVED),
        (TransferKind.PAYOUT, AccountKind.RESERVED, AccountKind.PAID_OUT),
        (TransferKind.PAYOUT_FEE, AccountKind.RESERVED, AccountKind.FEES),
        (TransferKind.PAYOUT_RETURN, AccountKind.RESERVED, AccountKind.AVAILABLE),
        (TransferKind.EXPIRY, AccountKind.AVAILABLE, AccountKind.EXPIRED),
        (TransferKind.PRIZE, AccountKind.ISSUANCE, AccountKind.AVAILABLE),
        (TransferKind.PAYOUT_BOUNCE, AccountKind.PAID_OUT, AccountKind.AVAILABLE),
    ]
)
"""(kind, debit, credit) of all other transfers."""
_TAKEN = numbers(TransferKind.REVERSAL, TransferKind.REJECTION)
_AFTER_ACCRUAL = numbers(TransferKind.RELEASE, TransferKind.REVERSAL, TransferKind.REJECTION)
_AT_ONCE = numbers(TransferKind.PURCHASE, TransferKind.EXCHANGE, TransferKind.GIFT)
_PAYOUT_ENDS = numbers(TransferKind.PAYOUT, TransferKind.PAYOUT_FEE, TransferKind.PAYOUT_BOUNCE)
_PAYOUT_OPEN = numbers(PayoutState.REQUESTED, PayoutState.APPROVED, PayoutState.SENT, PayoutState.FAILED)
_WAS_PAID = numbers(PayoutState.PAID, PayoutState.BOUNCED)

_BALANCES = f"""
    SELECT program_id, participant_id, place, asset, sum(amount_minor) AS amount_minor FROM (
        SELECT program_id, participant_id, place, asset, amount_minor FROM balance WHERE {_SCOPE}
        UNION ALL
        SELECT program_id, participant_id, place, asset, delta_minor FROM balance_delta WHERE {_SCOPE}
    ) AS b GROUP BY 1, 2, 3, 4
"""
_FROM_TRANSFERS = f"""
    SELECT program_id, CASE WHEN place IN ({_OF_PARTICIPANTS}) THEN participant_id ELSE '' END AS participant_id, place,
        asset,
        sum(amount_minor) AS amount_minor FROM (
        SELECT program_id, participant_id, debit AS place, asset, -amount_minor AS amount_minor FROM movement
        WHERE {_SCOPE}
        UNION ALL
        SELECT program_id, coalesce(recipient_id, participant_id), credit, asset, amount_minor FROM movement
        WHERE {_SCOPE}
    ) AS t GROUP BY 1, 2, 3, 4
"""
_BALANCE_DIFFERS = text(f"""
    SELECT coalesce(b.program_id, t.program_id) AS program_id,
        concat(account_name(coalesce(b.place, t.place), coalesce(b.participant_id, t.participant_id)), ' ',
            coalesce(b.asset, t.asset)) AS subject,
        format('transfers say %s, the balance says %s', coalesce(t.amount_minor, 0), coalesce(b.amount_minor, 0))
            AS detail
    FROM ({_BALANCES}) AS b
    FULL JOIN ({_FROM_TRANSFERS}) AS t USING (program_id, participant_id, place, asset)
    WHERE coalesce(b.amount_minor, 0) <> coalesce(t.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
""")
_NEGATIVE = text(f"""
    SELECT program_id, concat(account_name(place, participant_id), ' ', asset) AS subject, format('is %s', amount_minor)
        AS detail
    FROM ({_BALANCES}) AS b
    WHERE (place NOT IN ({_MAY_BE_NEGATIVE}) AND amount_minor < 0)
        OR (place = {AccountKind.DEBT:d} AND amount_minor > 0)
    LIMIT {MAX_FINDINGS}
""")
_REWARD_DIFFERS = text(f"""
    WITH moved AS (
        SELECT reward_id, sum(CASE WHEN kind = {TransferKind.ACCRUAL:d} THEN amount_minor
                WHEN kind IN ({_TAKEN}) THEN -amount_minor ELSE 0 END) AS net_minor,
            sum(CASE WHEN kind = {TransferKind.ACCRUAL:d} THEN amount_minor ELSE 0 END) AS accrued_minor
        FROM movement WHERE {_SCOPE} AND reward_id IS NOT NULL GROUP BY reward_id
    ), owed AS (
        SELECT reward_id, program_id, amount_minor, amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0)
                AS net_minor
        FROM reward AS r WHERE {_SCOPE}
    )
    SELECT coalesce(owed.program_id, '?') AS program_id,
        replace(coalesce(owed.reward_id, moved.reward_id)::text, '-', '') AS subject,
        format('reward says %s (net %s), transfers say %s (net %s)', owed.amount_minor, owed.net_minor,
            moved.accrued_minor, moved.net_minor) AS detail
    FROM owed FULL JOIN moved USING (reward_id)
    WHERE owed.net_minor IS DISTINCT FROM moved.net_minor OR owed.amount_minor IS DISTINCT FROM moved.accrued_minor
        OR owed.net_minor < 0
    LIMIT {MAX_FINDINGS}
""")
# Both sides of an account may be wrong alike, where a balance was written by the same hand as its transfer.
# Materialised, for the planner believes that most rows differ: to find the first few it would look up each row by
# itself.
_TRANSFER_DIFFERS = text(f"""
    WITH wrong AS MATERIALIZED (
    SELECT t.program_id, replace(t.transfer_id::text, '-', '') AS subject,
        format('moves %s of %s from %s to %s (kind %s), for a reward of %s to %s', t.asset, t.participant_id, t.debit,
            t.credit,
            t.kind, r.asset, r.beneficiary_id) AS detail
    FROM movement AS t JOIN reward AS r USING (reward_id)
    WHERE (:program_id = '' OR t.program_id = :program_id)
        AND ((t.program_id, t.participant_id, t.asset) <> (r.program_id, r.beneficiary_id, r.asset)
            OR (t.kind, t.debit, t.credit) NOT IN ({_OF_REWARDS})
            OR t.recipient_id IS NOT NULL)
    ) SELECT program_id, subject, detail FROM wrong LIMIT {MAX_FINDINGS}
""")
_ACCOUNTS_DIFFER = text(f"""
    SELECT program_id, replace(transfer_id::text, '-', '') AS subject,
        format('moves %s from %s to %s (kind %s), %s', asset, account_name(debit, participant_id),
            account_name(credit, coalesce(recipient_id, participant_id)), kind, cause_id) AS detail
    FROM transfer WHERE {_SCOPE} AND ((reward_id IS NULL AND (kind, debit, credit) NOT IN ({_OF_NO_REWARD}))
        OR (reward_id IS NOT NULL AND kind NOT IN ({_AFTER_ACCRUAL}))
        OR (recipient_id IS NOT NULL) <> (kind = {TransferKind.GIFT:d}))
    LIMIT {MAX_FINDINGS}
""")
_RESERVE_DIFFERS = text(f"""
    WITH open AS (
        SELECT program_id, participant_id, asset, sum(amount_minor) AS amount_minor FROM (
            SELECT program_id, participant_id, asset, authorized_minor AS amount_minor FROM redemption
            WHERE {_SCOPE} AND state = {RedemptionState.AUTHORIZED:d}
            UNION ALL
            SELECT program_id, participant_id, asset, amount_minor FROM payout
            WHERE {_SCOPE} AND state IN ({_PAYOUT_OPEN})
        ) AS o GROUP BY 1, 2, 3
    ), balances AS (
        SELECT program_id, participant_id, asset, amount_minor FROM ({_BALANCES}) AS b
        WHERE place = {AccountKind.RESERVED:d} AND amount_minor <> 0
    )
    SELECT program_id, concat('reserved:', participant_id, ' ', asset) AS subject,
        format('redemptions and payouts that are open say %s, the balance says %s', coalesce(open.amount_minor, 0),
            coalesce(balances.amount_minor, 0)) AS detail
    FROM open FULL JOIN balances USING (program_id, participant_id, asset)
    WHERE coalesce(open.amount_minor, 0) <> coalesce(balances.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
""")
_REDEMPTION_DIFFERS = text(f"""
    WITH moved AS (
        SELECT cause_id, sum(amount_minor) FILTER (WHERE kind = {TransferKind.CAPTURE:d}) AS captured_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.REDEMPTION_REFUND:d}) AS refunded_minor
        FROM transfer WHERE {_SCOPE} AND kind IN ({TransferKind.CAPTURE:d}, {TransferKind.REDEMPTION_REFUND:d})
        GROUP BY 1
    )
    SELECT r.program_id, r.redemption_id AS subject,
        format('says %s captured and %s refunded, transfers say %s and %s', r.captured_minor, r.refunded_minor,
            coalesce(moved.captured_minor, 0), coalesce(moved.refunded_minor, 0)) AS detail
    FROM redemption AS r LEFT JOIN moved ON moved.cause_id = 'redemption:' || r.program_id || '/' || r.redemption_id
    WHERE (:program_id = '' OR r.program_id = :program_id)
        AND (r.captured_minor, r.refunded_minor) <> (coalesce(moved.captured_minor, 0),
            coalesce(moved.refunded_minor, 0))
    LIMIT {MAX_FINDINGS}
""")
_PAYOUT_DIFFERS = text(f"""
    WITH moved AS (
        SELECT cause_id, sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT:d}) AS paid_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT_FEE:d}) AS fee_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT_BOUNCE:d}) AS back_minor,
            count(*) FILTER (WHERE kind = {TransferKind.PAYOUT:d}) AS times,
            count(*) FILTER (WHERE kind = {TransferKind.PAYOUT_BOUNCE:d}) AS times_back
        FROM transfer WHERE {_SCOPE} AND kind IN ({_PAYOUT_ENDS}) GROUP BY 1
    )
    SELECT p.program_id, p.payout_id AS subject,
        format('of %s with a fee of %s in state %s: transfers say %s paid in %s, fee %s, %s came back in %s',
            p.amount_minor, p.fee_minor, p.state, coalesce(moved.paid_minor, 0), coalesce(moved.times, 0),
            coalesce(moved.fee_minor, 0), coalesce(moved.back_minor, 0), coalesce(moved.times_back, 0)) AS detail
    FROM payout AS p LEFT JOIN moved ON moved.cause_id = 'payout:' || p.program_id || '/' || p.payout_id
    WHERE (:program_id = '' OR p.program_id = :program_id)
        AND (coalesce(moved.times, 0), coalesce(moved.paid_minor, 0), coalesce(moved.fee_minor, 0),
                coalesce(moved.times_back, 0), coalesce(moved.back_minor, 0))
            <> (CASE WHEN p.state IN ({_WAS_PAID}) THEN 1 ELSE 0 END,
                CASE WHEN p.state IN ({_WAS_PAID}) THEN p.amount_minor - p.fee_minor ELSE 0 END,
                CASE WHEN p.state IN ({_WAS_PAID}) THEN p.fee_minor ELSE 0 END,
                CASE WHEN p.state = {PayoutState.BOUNCED:d} THEN 1 ELSE 0 END,
                CASE WHEN p.state = {PayoutState.BOUNCED:d} THEN p.amount_minor - p.fee_minor ELSE 0 END)
    LIMIT {MAX_FINDINGS}
""")
_REVERSAL_DIFFERS = text(f"""
    WITH gone AS (
        SELECT program_id, conversion_id FROM reversal AS v JOIN conversion AS c USING (program_id, conversion_id)
        WHERE {_SCOPE} AND c.event IS NOT NULL GROUP BY 1, 2, c.amount_minor
        HAVING sum(v.amount_minor) = c.amount_minor AND (c.amount_minor > 0 OR bool_or(v.completes))
    )
    SELECT r.program_id, replace(r.reward_id::text, '-', '') AS subject,
        format('nothing is left of conversion %s, but %s of the reward', r.conversion_id,
            r.amount_minor + coalesce(v.delta_minor, 0)) AS detail
    FROM reward AS r JOIN gone USING (program_id, conversion_id)
    LEFT JOIN LATERAL (SELECT sum(delta_minor) AS delta_minor FROM reward_revision
        WHERE reward_id = r.reward_id) AS v ON true
    WHERE r.amount_minor + coalesce(v.delta_minor, 0) <> 0
    LIMIT {MAX_FINDINGS}
""")
_CONVERSION_MISSING = text(f"""
    SELECT program_id, conversion_id AS subject,
        format('%s reversals wait for it, the first of %s', count(*), min(v.record_time)) AS detail
    FROM conversion AS c JOIN reversal AS v USING (program_id, conversion_id)
    WHERE {_SCOPE} AND c.event IS NULL AND v.record_time < :missing_since GROUP BY 1, 2
    LIMIT {MAX_FINDINGS}
""")
_HOLD_OVERDUE = text(f"""
    SELECT program_id, conversion_id AS subject, format('should have ended at %s', due_time) AS detail
    FROM hold WHERE {_SCOPE} AND due_time < :overdue_since
    UNION ALL
    SELECT program_id, conversion_id,
        format('nothing is waited for since %s', greatest(earliest, event_time, decide_time))
    FROM hold_wait WHERE {_SCOPE} AND end_time IS NULL AND {WAITS_FOR_NOBODY}
        AND (event_type = '' OR event_time IS NOT NULL)
        AND greatest(earliest, event_time, decide_time) < :overdue_since
    LIMIT {MAX_FINDINGS}
""")
_CONTEST_OVERDUE = text(f"""
    SELECT program_id, contest_id AS subject, format('should have been settled at %s', due_time) AS detail
    FROM contest_due WHERE {_SCOPE} AND due_time < :overdue_since ORDER BY due_time LIMIT {MAX_FINDINGS}
""")
# Few owe anything, so each is looked up alone. A debt is repaid within seconds of the last movement of its wallet.
_DEBT_OVERDUE = text(f"""
    WITH owed AS MATERIALIZED (
        SELECT program_id, participant_id, asset, sum(amount_minor) AS amount_minor FROM (
            SELECT program_id, participant_id, asset, amount_minor FROM balance
            WHERE {_SCOPE} AND place = {AccountKind.DEBT:d} AND amount_minor <> 0
            UNION ALL
            SELECT program_id, participant_id, asset, delta_minor FROM balance_delta
            WHERE {_SCOPE} AND place = {AccountKind.DEBT:d}
        ) AS d GROUP BY 1, 2, 3 HAVING sum(amount_minor) < 0
    ), beside AS MATERIALIZED (
        SELECT o.*, a.amount_minor AS available_minor
        FROM owed AS o
        CROSS JOIN LATERAL (
            SELECT sum(amount_minor) AS amount_minor FROM (
                SELECT amount_minor FROM balance AS b
                WHERE b.program_id = o.program_id AND b.participant_id = o.participant_id
                    AND b.place = {AccountKind.AVAILABLE:d} AND b.asset = o.asset
                UNION ALL
                SELECT delta_minor FROM balance_delta AS b
                WHERE b.program_id = o.program_id AND b.participant_id = o.participant_id
                    AND b.place = {AccountKind.AVAILABLE:d} AND b.asset = o.asset
            ) AS b
        ) AS a
        WHERE a.amount_minor > 0
    )
    SELECT program_id, concat('debt:', participant_id, ' ', asset) AS subject,
        format('%s are owed beside %s available', -amount_minor, available_minor) AS detail
    FROM beside AS b
    WHERE NOT EXISTS (SELECT 1 FROM reward AS r
        WHERE r.beneficiary_id = b.participant_id AND r.program_id = b.program_id
            AND r.reward_id >= CAST(:overdue_id AS uuid))
        AND NOT EXISTS (SELECT 1 FROM transfer AS t
            WHERE t.program_id = b.program_id AND t.participant_id = b.participant_id
            AND t.transfer_id >= CAST(:overdue_id AS uuid))
        AND NOT EXISTS (SELECT 1 FROM transfer AS t
            WHERE t.program_id = b.program_id AND t.recipient_id = b.participant_id
            AND t.transfer_id >= CAST(:overdue_id AS uuid))
    LIMIT {MAX_FINDINGS}
""")
_OPERATION_DIFFERS = text(f"""
    WITH moved AS (
        SELECT program_id, kind, cause_id, count(*) AS times FROM transfer
        WHERE {_SCOPE} AND kind IN ({_AT_ONCE}) GROUP BY 1, 2, 3
    ), answered AS (
        SELECT program_id, kind, CASE kind WHEN {TransferKind.PURCHASE:d} THEN 'purchase:'
            WHEN {TransferKind.EXCHANGE:d} THEN 'exchange:' WHEN {TransferKind.GIFT:d} THEN 'gift:'
            END || program_id || '/' || operation_id AS cause_id, operation_id
        FROM operation WHERE {_SCOPE}
    )
    SELECT program_id, cause_id AS subject,
        format('was %s, and %s transfers are about it',
            CASE WHEN operation_id IS NULL THEN 'not asked for' ELSE 'answered' END,
            coalesce(times, 0)) AS detail
    FROM answered FULL JOIN moved USING (program_id, kind, cause_id)
    WHERE operation_id IS NULL OR coalesce(times, 0) <> CASE kind WHEN {TransferKind.EXCHANGE:d} THEN 2 ELSE 1 END
    LIMIT {MAX_FINDINGS}
""")
_LIMIT_EXCEEDED = text(f"""
    SELECT program_id, concat_ws(' ', name, nullif(replace(subject, E'\\x1f', '/'), ''), nullif(period, '')) AS subject,
        format('%s are used of %s', value, amount_minor) AS detail
    FROM tally JOIN unnest(CAST(:limit_programs AS text[]), CAST(:limit_names AS text[]),
        CAST(:limit_amounts AS bigint[]))
        AS l (program_id, name, amount_minor) USING (program_id, name)
    WHERE value > amount_minor OR value < 0
    LIMIT {MAX_FINDINGS}
""")
_NOT_PUBLISHED = text(f"""
    SELECT '' AS program_id, message_id AS subject, format('waits in the outbox since %s', create_time) AS detail
    FROM outbox WHERE publish_time IS NULL AND create_time < now() - make_interval(secs => {OVERDUE.total_seconds()})
    ORDER BY outbox_id LIMIT {MAX_FINDINGS}
""")
_HOLD_DIFFERS = text(f"""
    WITH held AS (
        SELECT r.program_id, r.beneficiary_id AS participant_id, r.asset, sum(r.amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0))
                AS amount_minor
        FROM reward AS r
        JOIN hold AS h ON h.program_id = r.program_id AND h.conversion_id = r.conversion_id
            AND h.due_time = r.hold_until
        WHERE (:program_id = '' OR r.program_id = :program_id) GROUP BY 1, 2, 3
    ), balances AS (
        SELECT program_id, participant_id, asset, amount_minor FROM ({_BALANCES}) AS b
        WHERE place = {AccountKind.HELD:d} AND amount_minor <> 0
    )
    SELECT program_id, concat('held:', participant_id, ' ', asset) AS subject,
        format('rewards on hold say %s, the balance says %s', coalesce(held.amount_minor, 0),
            coalesce(balances.amount_minor, 0)) AS detail
    FROM held FULL JOIN balances USING (program_id, participant_id, asset)
    WHERE coalesce(held.amount_minor, 0) <> coalesce(balances.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
""")
_DEAD_LETTERS = text(f"""
    SELECT '' AS program_id, message_id AS subject, format('%s failed %s times: %s', consumer, attempts, error)
        AS detail
    FROM dead_letter WHERE park_time IS NOT NULL ORDER BY park_time LIMIT {MAX_FINDINGS}
""")
_CHECKS = {
    "BALANCE_DIFFERS": _BALANCE_DIFFERS,
    "NEGATIVE_BALANCE": _NEGATIVE,
    "REWARD_DIFFERS": _REWARD_DIFFERS,
    "TRANSFER_DIFFERS": _TRANSFER_DIFFERS,
    "ACCOUNTS_DIFFER": _ACCOUNTS_DIFFER,
    "RESERVE_DIFFERS": _RESERVE_DIFFERS,
    "REDEMPTION_DIFFERS": _REDEMPTION_DIFFERS,
    "PAYOUT_DIFFERS": _PAYOUT_DIFFERS,
    "REVERSAL_DIFFERS": _REVERSAL_DIFFERS,
    "HOLD_DIFFERS": _HOLD_DIFFERS,
    "HOLD_OVERDUE": _HOLD_OVERDUE,
    "CONTEST_OVERDUE": _CONTEST_OVERDUE,
    "DEBT_OVERDUE": _DEBT_OVERDUE,
    "OPERATION_DIFFERS": _OPERATION_DIFFERS,
    "LIMIT_EXCEEDED": _LIMIT_EXCEEDED,
    "CONVERSION_MISSING": _CONVERSION_MISSING,
    "NOT_PUBLISHED": _NOT_PUBLISHED,
    "DEAD_LETTER": _DEAD_LETTERS,
}
_COUNTS = text(f"""
    SELECT (SELECT count(*) FROM movement WHERE {_SCOPE}) AS transfer_count,
        (SELECT count(*) FROM reward WHERE {_SCOPE}) AS reward_count,
        (SELECT count(*) FROM ({_BALANCES}) AS b) AS account_count
""")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that a check found to be wrong."""

    check: str
    program_id: str
    subject: str
    detail: str

    @property
    def of_flow(self) -> bool:
        """Whether it tells of something late, waiting or set aside rather than of amounts that contradict one
        another."""
        return self.check in FLOW_CHECKS


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of one audit."""

    transfer_count: int
    account_count: int
    reward_count: int
    findings: tuple[AuditFinding, ...]


@dataclass(frozen=True, slots=True)
class TallyLimit:
    """The largest amount that any version of a plan gives to a cap or budget, whose tally must not exceed it."""

    program_id: str
    name: str
    amount_minor: int


async def run(conn: AsyncConnection, program_id: str, now: datetime, limits: Sequence[TallyLimit]) -> Audit:
    """Runs every check, in a transaction that shows one snapshot throughout.

    What no program can be named for, dead letters and the outbox, is told whatever program is asked for.
    """
    await allow_statements(conn, AUDIT_TIMEOUT_MS)
    scope = {
        "program_id": program_id,
        "overdue_since": now - OVERDUE,
        "overdue_id": least_id(now - OVERDUE),
        "missing_since": now - MISSING,
        "limit_programs": [each.program_id for each in limits],
        "limit_names": [each.name for each in limits],
        "limit_amounts": [each.amount_minor for each in limits],
    }
    findings = []
    for name, statement in _CHECKS.items():
        rows = await conn.execute(statement, {each: scope[each] for each in statement.compile().params})
        findings += [AuditFinding(name, row.program_id, row.subject, row.detail) for row in rows]
    counts = (await conn.execute(_COUNTS, {"program_id": program_id})).one()
    return Audit(counts.transfer_count, counts.account_count, counts.reward_count, tuple(findings[:MAX_FINDINGS]))
