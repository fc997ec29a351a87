"""Checks of what is on its way to the ledger, and of limits. They go by state and find it by indexes, so they cost what
is late, not what there is."""

from services.rewards.domain.ledger import AccountKind
from services.rewards.store.audits.balances import SCOPE
from services.rewards.store.audits.findings import MAX_FINDINGS, OVERDUE
from services.rewards.store.contests import WAITS_FOR_FACTS
from services.rewards.store.holds import WAITS_FOR_NOBODY

# Neither has a conversion that has not arrived; there is an index for the id of its rewards.
CONVERSION_MISSING = f"""
    SELECT program_id, conversion_id AS subject,
        format('%s reversals wait for it, the first of %s', count(*), min(v.record_time)) AS detail
    FROM conversion AS c JOIN reversal AS v USING (program_id, conversion_id)
    WHERE {SCOPE} AND c.first_reward_id IS NULL AND c.event IS NULL AND v.record_time < :missing_since GROUP BY 1, 2
    LIMIT {MAX_FINDINGS}
"""
HOLD_OVERDUE = f"""
    SELECT program_id, conversion_id AS subject, format('should have ended at %s', due_time) AS detail
    FROM hold WHERE {SCOPE} AND due_time < :overdue_since
    UNION ALL
    SELECT program_id, conversion_id,
        format('nothing is waited for since %s', greatest(earliest, event_time, decide_time))
    FROM hold_wait WHERE {SCOPE} AND end_time IS NULL AND {WAITS_FOR_NOBODY}
        AND (event_type = '' OR event_time IS NOT NULL)
        AND greatest(earliest, event_time, decide_time) < :overdue_since
    LIMIT {MAX_FINDINGS}
"""
CONTEST_OVERDUE = f"""
    SELECT program_id, contest_id AS subject, format('should have been settled at %s', due_time) AS detail
    FROM contest_due WHERE {SCOPE} AND due_time < :overdue_since AND NOT {WAITS_FOR_FACTS}
    ORDER BY due_time LIMIT {MAX_FINDINGS}
"""
# Few owe anything, so each is looked up alone. A debt is repaid within seconds of the last movement of its wallet.
DEBT_OVERDUE = f"""
    WITH owed AS MATERIALIZED (
        SELECT program_id, participant_id, asset, sum(amount_minor) AS amount_minor FROM (
            SELECT program_id, participant_id, asset, amount_minor FROM balance
            WHERE {SCOPE} AND place = {AccountKind.DEBT:d} AND amount_minor <> 0
            UNION ALL
            SELECT program_id, participant_id, asset, delta_minor FROM balance_delta
            WHERE {SCOPE} AND place = {AccountKind.DEBT:d}
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
"""
LIMIT_EXCEEDED = f"""
    SELECT program_id, concat_ws(' ', name, nullif(replace(subject, E'\\x1f', '/'), ''), nullif(period, '')) AS subject,
        format('%s are used of %s', value, amount_minor) AS detail
    FROM tally JOIN unnest(CAST(:limit_programs AS text[]), CAST(:limit_names AS text[]),
        CAST(:limit_amounts AS bigint[]))
        AS l (program_id, name, amount_minor) USING (program_id, name)
    WHERE value > amount_minor OR value < 0
    LIMIT {MAX_FINDINGS}
"""
NOT_PUBLISHED = f"""
    SELECT '' AS program_id, message_id AS subject, format('waits in the outbox since %s', create_time) AS detail
    FROM outbox WHERE publish_time IS NULL AND create_time < now() - make_interval(secs => {OVERDUE.total_seconds()})
    ORDER BY outbox_id LIMIT {MAX_FINDINGS}
"""
DEAD_LETTERS = f"""
    SELECT '' AS program_id, message_id AS subject, format('%s failed %s times: %s', consumer, attempts, error)
        AS detail
    FROM dead_letter WHERE park_time IS NOT NULL ORDER BY park_time LIMIT {MAX_FINDINGS}
"""
