"""Checks of balances: they follow from transfers, and what is set aside or on hold has its reasons."""

from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind
from services.rewards.domain.wallet.redemption import RedemptionState
from services.rewards.store.audits.findings import MAX_FINDINGS
from services.rewards.store.audits.kinds import PAYOUT_OPEN
from services.rewards.store.numbers import numbers

SCOPE = "(:program_id = '' OR program_id = :program_id)"
OF_PARTICIPANTS = numbers(*sorted(PARTICIPANT_ACCOUNT_KINDS))
_MAY_BE_NEGATIVE = numbers(AccountKind.ISSUANCE, AccountKind.DEBT, AccountKind.EXCHANGE)
"""The exchange is negative in an asset that was taken."""
IS_NEGATIVE = f"""(place NOT IN ({_MAY_BE_NEGATIVE}) AND amount_minor < 0)
        OR (place = {AccountKind.DEBT:d} AND amount_minor > 0)"""

BALANCES = f"""
    SELECT program_id, participant_id, place, asset, sum(amount_minor) AS amount_minor FROM (
        SELECT program_id, participant_id, place, asset, amount_minor FROM balance WHERE {SCOPE}
        UNION ALL
        SELECT program_id, participant_id, place, asset, delta_minor FROM balance_delta WHERE {SCOPE}
    ) AS b GROUP BY 1, 2, 3, 4
"""


def legs(source: str, condition: str) -> str:
    """The sums, and the numbers, of the movements in `source` that fit, by account."""
    return f"""
    SELECT program_id, CASE WHEN place IN ({OF_PARTICIPANTS}) THEN participant_id ELSE '' END AS participant_id, place,
        asset, sum(amount_minor) AS amount_minor, count(*) AS movement_count FROM (
        SELECT program_id, participant_id, debit AS place, asset, -amount_minor AS amount_minor FROM {source}
        WHERE {condition}
        UNION ALL
        SELECT program_id, coalesce(recipient_id, participant_id), credit, asset, amount_minor FROM {source}
        WHERE {condition}
    ) AS t GROUP BY 1, 2, 3, 4
"""


BALANCE_DIFFERS = f"""
    SELECT coalesce(b.program_id, t.program_id) AS program_id,
        concat(account_name(coalesce(b.place, t.place), coalesce(b.participant_id, t.participant_id)), ' ',
            coalesce(b.asset, t.asset)) AS subject,
        format('transfers say %s, the balance says %s', coalesce(t.amount_minor, 0), coalesce(b.amount_minor, 0))
            AS detail
    FROM ({BALANCES}) AS b
    FULL JOIN ({legs("movement", SCOPE)}) AS t USING (program_id, participant_id, place, asset)
    WHERE coalesce(b.amount_minor, 0) <> coalesce(t.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
"""
NEGATIVE = f"""
    SELECT program_id, concat(account_name(place, participant_id), ' ', asset) AS subject, format('is %s', amount_minor)
        AS detail
    FROM ({BALANCES}) AS b
    WHERE {IS_NEGATIVE}
    LIMIT {MAX_FINDINGS}
"""
RESERVE_DIFFERS = f"""
    WITH open AS (
        SELECT program_id, participant_id, asset, sum(amount_minor) AS amount_minor FROM (
            SELECT program_id, participant_id, asset, authorized_minor AS amount_minor FROM redemption
            WHERE {SCOPE} AND state = {RedemptionState.AUTHORIZED:d}
            UNION ALL
            SELECT program_id, participant_id, asset, amount_minor FROM payout
            WHERE {SCOPE} AND state IN ({PAYOUT_OPEN})
        ) AS o GROUP BY 1, 2, 3
    ), balances AS (
        SELECT program_id, participant_id, asset, amount_minor FROM ({BALANCES}) AS b
        WHERE place = {AccountKind.RESERVED:d} AND amount_minor <> 0
    )
    SELECT program_id, concat('reserved:', participant_id, ' ', asset) AS subject,
        format('redemptions and payouts that are open say %s, the balance says %s', coalesce(open.amount_minor, 0),
            coalesce(balances.amount_minor, 0)) AS detail
    FROM open FULL JOIN balances USING (program_id, participant_id, asset)
    WHERE coalesce(open.amount_minor, 0) <> coalesce(balances.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
"""
HOLD_DIFFERS = f"""
    WITH held AS (
        SELECT r.program_id, r.beneficiary_id AS participant_id, r.asset, sum(r.amount_minor
            + coalesce((SELECT sum(delta_minor) FROM reward_revision AS v WHERE v.reward_id = r.reward_id), 0))
                AS amount_minor
        FROM reward AS r
        JOIN hold AS h ON h.program_id = r.program_id AND h.conversion_id = r.conversion_id
            AND h.due_time = r.hold_until
        WHERE (:program_id = '' OR r.program_id = :program_id) GROUP BY 1, 2, 3
    ), balances AS (
        SELECT program_id, participant_id, asset, amount_minor FROM ({BALANCES}) AS b
        WHERE place = {AccountKind.HELD:d} AND amount_minor <> 0
    )
    SELECT program_id, concat('held:', participant_id, ' ', asset) AS subject,
        format('rewards on hold say %s, the balance says %s', coalesce(held.amount_minor, 0),
            coalesce(balances.amount_minor, 0)) AS detail
    FROM held FULL JOIN balances USING (program_id, participant_id, asset)
    WHERE coalesce(held.amount_minor, 0) <> coalesce(balances.amount_minor, 0)
    LIMIT {MAX_FINDINGS}
"""
