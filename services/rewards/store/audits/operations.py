"""Checks of what is done with wallets: redemptions, payouts, purchases, exchanges and gifts have their transfers."""

from services.rewards.domain.ledger import TransferKind
from services.rewards.domain.wallet.payout import PayoutState
from services.rewards.store.audits.balances import SCOPE
from services.rewards.store.audits.findings import MAX_FINDINGS
from services.rewards.store.audits.kinds import AFTER_ACCRUAL, AT_ONCE, OF_NO_REWARD, PAYOUT_ENDS, WAS_PAID

ACCOUNTS_DIFFER = f"""
    SELECT program_id, replace(transfer_id::text, '-', '') AS subject,
        format('moves %s from %s to %s (kind %s), %s', asset, account_name(debit, participant_id),
            account_name(credit, coalesce(recipient_id, participant_id)), kind, cause_id) AS detail
    FROM transfer WHERE {SCOPE} AND ((reward_id IS NULL AND (kind, debit, credit) NOT IN ({OF_NO_REWARD}))
        OR (reward_id IS NOT NULL AND kind NOT IN ({AFTER_ACCRUAL}))
        OR (recipient_id IS NOT NULL) <> (kind = {TransferKind.GIFT:d}))
    LIMIT {MAX_FINDINGS}
"""
REDEMPTION_DIFFERS = f"""
    WITH moved AS (
        SELECT cause_id, sum(amount_minor) FILTER (WHERE kind = {TransferKind.CAPTURE:d}) AS captured_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.REDEMPTION_REFUND:d}) AS refunded_minor
        FROM transfer WHERE {SCOPE} AND kind IN ({TransferKind.CAPTURE:d}, {TransferKind.REDEMPTION_REFUND:d})
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
"""
PAYOUT_DIFFERS = f"""
    WITH moved AS (
        SELECT cause_id, sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT:d}) AS paid_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT_FEE:d}) AS fee_minor,
            sum(amount_minor) FILTER (WHERE kind = {TransferKind.PAYOUT_BOUNCE:d}) AS back_minor,
            count(*) FILTER (WHERE kind = {TransferKind.PAYOUT:d}) AS times,
            count(*) FILTER (WHERE kind = {TransferKind.PAYOUT_BOUNCE:d}) AS times_back
        FROM transfer WHERE {SCOPE} AND kind IN ({PAYOUT_ENDS}) GROUP BY 1
    )
    SELECT p.program_id, p.payout_id AS subject,
        format('of %s with a fee of %s in state %s: transfers say %s paid in %s, fee %s, %s came back in %s',
            p.amount_minor, p.fee_minor, p.state, coalesce(moved.paid_minor, 0), coalesce(moved.times, 0),
            coalesce(moved.fee_minor, 0), coalesce(moved.back_minor, 0), coalesce(moved.times_back, 0)) AS detail
    FROM payout AS p LEFT JOIN moved ON moved.cause_id = 'payout:' || p.program_id || '/' || p.payout_id
    WHERE (:program_id = '' OR p.program_id = :program_id)
        AND (coalesce(moved.times, 0), coalesce(moved.paid_minor, 0), coalesce(moved.fee_minor, 0),
                coalesce(moved.times_back, 0), coalesce(moved.back_minor, 0))
            <> (CASE WHEN p.state IN ({WAS_PAID}) THEN 1 ELSE 0 END,
                CASE WHEN p.state IN ({WAS_PAID}) THEN p.amount_minor - p.fee_minor ELSE 0 END,
                CASE WHEN p.state IN ({WAS_PAID}) THEN p.fee_minor ELSE 0 END,
                CASE WHEN p.state = {PayoutState.BOUNCED:d} THEN 1 ELSE 0 END,
                CASE WHEN p.state = {PayoutState.BOUNCED:d} THEN p.amount_minor - p.fee_minor ELSE 0 END)
    LIMIT {MAX_FINDINGS}
"""
OPERATION_DIFFERS = f"""
    WITH moved AS (
        SELECT program_id, kind, cause_id, count(*) AS times FROM transfer
        WHERE {SCOPE} AND kind IN ({AT_ONCE}) GROUP BY 1, 2, 3
    ), answered AS (
        SELECT program_id, kind, CASE kind WHEN {TransferKind.PURCHASE:d} THEN 'purchase:'
            WHEN {TransferKind.EXCHANGE:d} THEN 'exchange:' WHEN {TransferKind.GIFT:d} THEN 'gift:'
            END || program_id || '/' || operation_id AS cause_id, operation_id
        FROM operation WHERE {SCOPE}
    )
    SELECT program_id, cause_id AS subject,
        format('was %s, and %s transfers are about it',
            CASE WHEN operation_id IS NULL THEN 'not asked for' ELSE 'answered' END,
            coalesce(times, 0)) AS detail
    FROM answered FULL JOIN moved USING (program_id, kind, cause_id)
    WHERE operation_id IS NULL OR coalesce(times, 0) <> CASE kind WHEN {TransferKind.EXCHANGE:d} THEN 2 ELSE 1 END
    LIMIT {MAX_FINDINGS}
"""
