"""Wallets that are computed again from all of their history: those that something was done with since the last clean
audit, and a sample of all others, another one each time, so that everybody's turn comes.

The checks are those of the full audit. They read temporary tables of the names of those that they are about, which
PostgreSQL finds first; these have the rows of the wallets and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.ledger import TransferKind
from services.rewards.store.audits import flow
from services.rewards.store.audits.balances import (
    BALANCES,
    HOLD_DIFFERS,
    NEGATIVE,
    OF_PARTICIPANTS,
    RESERVE_DIFFERS,
    legs,
)
from services.rewards.store.audits.news import Look, execute
from services.rewards.store.audits.operations import (
    ACCOUNTS_DIFFER,
    OPERATION_DIFFERS,
    PAYOUT_DIFFERS,
    REDEMPTION_DIFFERS,
)
from services.rewards.store.audits.rewards import REVERSAL_DIFFERS, REWARD_DIFFERS, TRANSFER_DIFFERS
from services.rewards.store.numbers import numbers

SAMPLE_ACCOUNTS = 2_000
"""The most accounts that a sample takes in their order."""
SAMPLE_MOVEMENTS = 20_000
"""A sample ends with the wallet with which it reaches so many movements of accounts. With an audit every five minutes,
5.7 millions of them are computed again within a day."""
ACTIVE_MOVEMENTS = 50_000
"""The most movements, in all, of the accounts of wallets that are looked at because something was done with them; those
with the longest histories are left to their turn in the sample where it is more."""

Wallet = tuple[str, str]
"""(program_id, participant_id)."""

_IN_ORDER = text("""
    SELECT program_id, participant_id, movement_count FROM audit_sum
    WHERE (program_id, participant_id) > (CAST(:program_id AS text), CAST(:participant_id AS text))
        AND participant_id <> ''
    ORDER BY program_id, participant_id, place, asset LIMIT :limit
""")
_ACTIVE = text("""
    SELECT program_id, participant_id FROM (
        SELECT program_id, participant_id, sum(movement_count) OVER (ORDER BY movement_count, program_id,
            participant_id) AS so_far
        FROM (
            SELECT program_id, participant_id, (SELECT coalesce(sum(movement_count), 0) FROM audit_sum AS s
                WHERE s.program_id = w.program_id AND s.participant_id = w.participant_id) AS movement_count
            FROM (SELECT program_id, participant_id FROM news WHERE reward_id IS NULL
                UNION SELECT program_id, recipient_id FROM news WHERE recipient_id IS NOT NULL) AS w
        ) AS counted
    ) AS summed WHERE so_far <= :most
""")

# The cause of a transfer is the kind of what it is about, its program, a slash, and its id.
_ABOUT = """
    SELECT program_id, regexp_replace(cause_id, '^[^/]*/', '') AS id FROM transfer
    WHERE kind IN ({kinds}) GROUP BY program_id, cause_id
"""
_OF_REDEMPTIONS = numbers(
    TransferKind.AUTHORIZATION, TransferKind.CAPTURE, TransferKind.VOID, TransferKind.REDEMPTION_REFUND
)
_AT_ONCE = (TransferKind.PURCHASE, TransferKind.EXCHANGE, TransferKind.GIFT)
# Each is found by an index, row by row: OFFSET 0 keeps the planner to that. What was given by one of the wallets to
# another one of them is one movement.
_STAGE = (
    "CREATE TEMPORARY TABLE sampled (program_id text, participant_id text) ON COMMIT DROP",
    "INSERT INTO sampled SELECT * FROM unnest(CAST(:programs AS text[]), CAST(:people AS text[]))",
    "ANALYZE sampled",
    *(
        f"CREATE TEMPORARY TABLE {each} (LIKE rewards.{each}) ON COMMIT DROP"
        for each in (
            "movement", "reward", "transfer", "reward_revision", "balance", "balance_delta", "hold", "conversion",
            "reversal", "redemption", "payout", "operation", "tally",
        )
    ),
    *(
        f"""
        INSERT INTO {table} SELECT t.* FROM sampled AS w CROSS JOIN LATERAL (SELECT * FROM rewards.{table} AS t
            WHERE t.program_id = w.program_id AND t.{whose} = w.participant_id OFFSET 0) AS t
        """
        for table, whose in (
            ("movement", "participant_id"), ("reward", "beneficiary_id"), ("balance", "participant_id"),
            ("balance_delta", "participant_id"), ("payout", "participant_id"),
        )
    ),
    """
    INSERT INTO movement SELECT t.transfer_id, t.program_id, t.kind, t.participant_id, t.debit, t.credit, t.asset,
        t.amount_minor, t.reward_id, t.cause_id, t.recipient_id, t.writer
    FROM sampled AS w CROSS JOIN LATERAL (SELECT * FROM rewards.transfer AS t
        WHERE t.program_id = w.program_id AND t.recipient_id = w.participant_id OFFSET 0) AS t
    WHERE (t.program_id, t.participant_id) NOT IN (SELECT program_id, participant_id FROM sampled)
    """,
    f"""
    INSERT INTO transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id,
        cause_id, recipient_id, writer)
    SELECT transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id, cause_id,
        recipient_id, writer FROM movement WHERE kind <> {TransferKind.ACCRUAL:d}
    """,
    """
    INSERT INTO reward_revision SELECT t.* FROM reward AS r CROSS JOIN LATERAL (
        SELECT * FROM rewards.reward_revision AS t WHERE t.reward_id = r.reward_id OFFSET 0) AS t
    """,
    """
    INSERT INTO hold SELECT t.* FROM (SELECT DISTINCT program_id, conversion_id, hold_until FROM reward
        WHERE hold_until IS NOT NULL) AS r
    CROSS JOIN LATERAL (SELECT * FROM rewards.hold AS t WHERE t.program_id = r.program_id
        AND t.conversion_id = r.conversion_id AND t.due_time = r.hold_until OFFSET 0) AS t
    """,
    """
    INSERT INTO reversal SELECT t.* FROM (SELECT DISTINCT program_id, conversion_id FROM reward) AS r
    CROSS JOIN LATERAL (SELECT * FROM rewards.reversal AS t WHERE t.program_id = r.program_id
        AND t.conversion_id = r.conversion_id OFFSET 0) AS t
    """,
    """
    INSERT INTO conversion (program_id, conversion_id, amount_minor, plan_version, event)
    SELECT t.* FROM (SELECT DISTINCT program_id, conversion_id FROM reversal) AS r
    CROSS JOIN LATERAL (SELECT t.program_id, t.conversion_id, t.amount_minor, t.plan_version,
            CASE WHEN t.event IS NOT NULL THEN ''::bytea END
        FROM rewards.conversion AS t WHERE t.program_id = r.program_id AND t.conversion_id = r.conversion_id OFFSET 0)
        AS t
    """,
    f"""
    INSERT INTO redemption SELECT t.* FROM ({_ABOUT.format(kinds=_OF_REDEMPTIONS)}) AS r
    CROSS JOIN LATERAL (SELECT * FROM rewards.redemption AS t WHERE t.program_id = r.program_id
        AND t.redemption_id = r.id OFFSET 0) AS t
    """,
    *(
        f"""
        INSERT INTO operation SELECT t.* FROM ({_ABOUT.format(kinds=numbers(kind))}) AS r
        CROSS JOIN LATERAL (SELECT * FROM rewards.operation AS t WHERE t.program_id = r.program_id
            AND t.kind = {kind:d} AND t.operation_id = r.id OFFSET 0) AS t
        """
        for kind in _AT_ONCE
    ),
    """
    INSERT INTO tally SELECT t.* FROM (SELECT DISTINCT participant_id FROM sampled) AS w
    CROSS JOIN LATERAL (SELECT * FROM rewards.tally AS t WHERE t.subject = w.participant_id OFFSET 0) AS t
    """,
    "ANALYZE movement, reward, transfer, reward_revision, balance, hold",
)  # fmt: skip
# Three ways to the same amount: all movements of the account, its balance, and its sum with what is new.
_SUMS_DIFFER = f"""
    SELECT FROM (
        SELECT program_id, participant_id, place, asset, amount_minor FROM ({legs("movement", "true")}) AS l
        JOIN sampled USING (program_id, participant_id) WHERE place IN ({OF_PARTICIPANTS})
    ) AS t FULL JOIN ({BALANCES}) AS b USING (program_id, participant_id, place, asset)
    FULL JOIN (
        SELECT program_id, participant_id, place, asset, sum(amount_minor) AS amount_minor FROM (
            SELECT s.program_id, s.participant_id, s.place, s.asset, s.amount_minor
            FROM sampled AS w CROSS JOIN LATERAL (SELECT * FROM rewards.audit_sum AS s
                WHERE s.program_id = w.program_id AND s.participant_id = w.participant_id OFFSET 0) AS s
            UNION ALL
            SELECT program_id, participant_id, place, asset, amount_minor FROM ({legs("news", "true")}) AS n
            JOIN sampled USING (program_id, participant_id)
        ) AS parts GROUP BY 1, 2, 3, 4
    ) AS s USING (program_id, participant_id, place, asset)
    WHERE coalesce(t.amount_minor, 0) <> coalesce(b.amount_minor, 0)
        OR coalesce(t.amount_minor, 0) <> coalesce(s.amount_minor, 0)
"""
_CHECKS = {
    "sums": _SUMS_DIFFER,
    "negative balances": NEGATIVE,
    "rewards": REWARD_DIFFERS,
    "transfers of rewards": TRANSFER_DIFFERS,
    "other transfers": ACCOUNTS_DIFFER,
    "reserves": RESERVE_DIFFERS,
    "redemptions": REDEMPTION_DIFFERS,
    "payouts": PAYOUT_DIFFERS,
    "reversals": REVERSAL_DIFFERS,
    "holds": HOLD_DIFFERS,
    "operations": OPERATION_DIFFERS,
    "limits": flow.LIMIT_EXCEEDED,
}
_COUNTS = text("""
    SELECT (SELECT count(*) FROM movement) AS movement_count, (SELECT count(*) FROM reward) AS reward_count,
        (SELECT count(*) FROM balance) AS account_count
""")


@dataclass(frozen=True, slots=True)
class SampleTurn:
    """The wallets whose turn it is."""

    wallets: tuple[Wallet, ...]
    last: Wallet
    """The wallet that the samples have come to; empty names where the next one begins a round."""
    ends_round: bool


async def active(conn: AsyncConnection) -> list[Wallet]:
    """The wallets that something was done with by what is in the table `news`: they spent, gave, were given, were paid
    out, repaid, or lost what expired."""
    rows = await conn.execute(_ACTIVE, {"most": ACTIVE_MOVEMENTS})
    return [(row.program_id, row.participant_id) for row in rows]


async def next_turn(conn: AsyncConnection, after: Wallet) -> SampleTurn:
    """The wallets that come after one, in the order of their names; at least one, however long its history is."""
    parameters = {"program_id": after[0], "participant_id": after[1], "limit": SAMPLE_ACCOUNTS}
    rows = (await conn.execute(_IN_ORDER, parameters)).all()
    wallets: list[Wallet] = []
    count = 0
    for wallet, accounts in groupby(rows, key=lambda row: (row.program_id, row.participant_id)):
        if count >= SAMPLE_MOVEMENTS:
            return SampleTurn(tuple(wallets), wallets[-1], ends_round=False)
        wallets.append(wallet)
        count += sum(each.movement_count for each in accounts)
    if wallets and len(rows) == SAMPLE_ACCOUNTS:
        return SampleTurn(tuple(wallets), wallets[-1], ends_round=False)
    return SampleTurn(tuple(wallets), ("", ""), ends_round=True)


async def examine_sample(conn: AsyncConnection, wallets: Sequence[Wallet], given: Mapping[str, object]) -> Look:
    """Computes wallets again, of whatever program they are; the table `news` is there."""
    values = {
        **given,
        "program_id": "",
        "programs": [each[0] for each in wallets],
        "people": [each[1] for each in wallets],
    }
    stage = await conn.begin_nested()
    try:
        for each in _STAGE:
            await execute(conn, each, values)
        # With a text of its own: what the server has prepared of the same statement may be about the tables behind.
        signs = [
            name
            for name, sql in _CHECKS.items()
            if (await execute(conn, f"/* of a sample */ {sql}", values)).first() is not None
        ]
        counts = (await conn.execute(_COUNTS)).one()
    finally:
        await stage.rollback()
    return Look(counts.movement_count, counts.account_count, counts.reward_count, tuple(signs))
