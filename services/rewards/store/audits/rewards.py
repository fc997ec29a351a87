"""Checks of rewards: their transfers and their revisions are about the same, and move what they may."""

from services.rewards.domain.ledger import TransferKind
from services.rewards.store.audits.balances import SCOPE
from services.rewards.store.audits.findings import MAX_FINDINGS
from services.rewards.store.audits.kinds import OF_REWARDS, TAKEN

REWARD_DIFFERS = f"""
    WITH moved AS (
        SELECT reward_id, sum(CASE WHEN kind = {TransferKind.ACCRUAL:d} THEN amount_minor
                WHEN kind IN ({TAKEN}) THEN -amount_minor ELSE 0 END) AS net_minor,
            sum(CASE WHEN kind = {TransferKind.ACCRUAL:d} THEN amount_minor ELSE 0 END) AS accrued_minor
        FROM movement WHERE {SCOPE} AND reward_id IS NOT NULL GROUP BY reward_id
    ), owed AS (
        SELECT reward_id, program_id, amount_minor, amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0)
                AS net_minor
        FROM reward AS r WHERE {SCOPE}
    )
    SELECT coalesce(owed.program_id, '?') AS program_id,
        replace(coalesce(owed.reward_id, moved.reward_id)::text, '-', '') AS subject,
        format('reward says %s (net %s), transfers say %s (net %s)', owed.amount_minor, owed.net_minor,
            moved.accrued_minor, moved.net_minor) AS detail
    FROM owed FULL JOIN moved USING (reward_id)
    WHERE owed.net_minor IS DISTINCT FROM moved.net_minor OR owed.amount_minor IS DISTINCT FROM moved.accrued_minor
        OR owed.net_minor < 0
    LIMIT {MAX_FINDINGS}
"""
# Both sides of an account may be wrong alike, where a balance was written by the same hand as its transfer.
# Materialised, for the planner believes that most rows differ: to find the first few it would look up each row by
# itself.
TRANSFER_DIFFERS = f"""
    WITH wrong AS MATERIALIZED (
    SELECT t.program_id, replace(t.transfer_id::text, '-', '') AS subject,
        format('moves %s of %s from %s to %s (kind %s), for a reward of %s to %s', t.asset, t.participant_id, t.debit,
            t.credit,
            t.kind, r.asset, r.beneficiary_id) AS detail
    FROM movement AS t JOIN reward AS r USING (reward_id)
    WHERE (:program_id = '' OR t.program_id = :program_id)
        AND ((t.program_id, t.participant_id, t.asset) <> (r.program_id, r.beneficiary_id, r.asset)
            OR (t.kind, t.debit, t.credit) NOT IN ({OF_REWARDS})
            OR t.recipient_id IS NOT NULL)
    ) SELECT program_id, subject, detail FROM wrong LIMIT {MAX_FINDINGS}
"""
REVERSAL_DIFFERS = f"""
    WITH gone AS (
        SELECT program_id, conversion_id FROM reversal AS v JOIN conversion AS c USING (program_id, conversion_id)
        WHERE {SCOPE} AND c.event IS NOT NULL GROUP BY 1, 2, c.amount_minor
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
"""
