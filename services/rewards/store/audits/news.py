"""The look at what was written since the last clean audit, row by row, and at every account that it is on, by its sum.

Everything before it is known to be right, so what is new is right by itself or not at all: an account's sum and its new
movements come to its balance, what is taken back of a reward is what its new revisions say. So the cost is that of what
is new, however long the histories of accounts are.

What is found here are *signs* that something is wrong. The full audit says what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.store.audits.balances import IS_NEGATIVE, SCOPE, legs
from services.rewards.store.audits.kinds import AFTER_ACCRUAL, OF_NO_REWARD, OF_REWARDS, TAKEN

# The planner has no statistics of what is new: it would rather read all of a table than use an index for it, and would
# compile what it takes for long.
_BY_INDEX = text("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")
_AS_USUAL = ("SET LOCAL enable_seqscan TO DEFAULT", "SET LOCAL jit TO DEFAULT")

_STAGE = (
    "CREATE TEMPORARY TABLE news (LIKE movement) ON COMMIT DROP",
    f"INSERT INTO news SELECT * FROM movement WHERE writer >= :since AND {SCOPE}",
    "ANALYZE news",
    """CREATE TEMPORARY TABLE touched (program_id text, participant_id text, place smallint, asset text,
        amount_minor numeric) ON COMMIT DROP""",
    # Of the accounts of programs there are few, and they are on nearly everything: each is looked at every time.
    f"""
    INSERT INTO touched SELECT program_id, participant_id, place, asset, sum(amount_minor) FROM (
        SELECT program_id, participant_id, place, asset, amount_minor FROM ({legs("news", "true")}) AS n
        UNION ALL
        SELECT program_id, participant_id, place, asset, 0 FROM balance_delta WHERE {SCOPE}
        UNION ALL
        SELECT a.* FROM unnest(CAST(:programs AS text[])) AS p (program_id) CROSS JOIN LATERAL (
            SELECT program_id, participant_id, place, asset, 0 FROM balance AS b
            WHERE b.program_id = p.program_id AND b.participant_id = ''
            UNION ALL
            SELECT program_id, participant_id, place, asset, 0 FROM audit_sum AS s
            WHERE s.program_id = p.program_id AND s.participant_id = '') AS a
    ) AS t GROUP BY 1, 2, 3, 4
    """,
    "ANALYZE touched",
)
_SIGNS = {
    "balances": f"""
        WITH account AS MATERIALIZED (
            SELECT place, amount_minor + coalesce((SELECT s.amount_minor FROM audit_sum AS s
                    WHERE s.program_id = t.program_id AND s.participant_id = t.participant_id AND s.place = t.place
                        AND s.asset = t.asset), 0) AS moved_minor,
                coalesce((SELECT b.amount_minor FROM balance AS b
                    WHERE b.program_id = t.program_id AND b.participant_id = t.participant_id AND b.place = t.place
                        AND b.asset = t.asset), 0)
                + coalesce((SELECT sum(d.delta_minor) FROM balance_delta AS d
                    WHERE d.program_id = t.program_id AND d.participant_id = t.participant_id AND d.place = t.place
                        AND d.asset = t.asset), 0) AS amount_minor
            FROM touched AS t
        ) SELECT EXISTS (SELECT FROM account WHERE moved_minor <> amount_minor OR {IS_NEGATIVE})
    """,
    "accounts of transfers": f"""
        SELECT EXISTS (SELECT FROM news WHERE kind <> {TransferKind.ACCRUAL:d} AND (
            (reward_id IS NULL AND (kind, debit, credit) NOT IN ({OF_NO_REWARD}))
            OR (reward_id IS NOT NULL
                AND (kind NOT IN ({AFTER_ACCRUAL}) OR (kind, debit, credit) NOT IN ({OF_REWARDS})))
            OR (recipient_id IS NOT NULL) <> (kind = {TransferKind.GIFT:d})))
    """,
    # A reward is at once its own accrual: what can differ is what came later.
    "rewards of transfers": f"""
        WITH about AS MATERIALIZED (
            SELECT program_id, participant_id, reward_id, asset, bool_or(kind IN ({TAKEN})) AS is_taken FROM news
            WHERE reward_id IS NOT NULL AND kind <> {TransferKind.ACCRUAL:d} GROUP BY 1, 2, 3, 4
        ), with_rewards AS MATERIALIZED (
            SELECT a.is_taken, r.*, r.amount_minor + coalesce((SELECT sum(v.delta_minor) FROM reward_revision AS v
                WHERE v.reward_id = r.reward_id), 0) AS net_minor
            FROM about AS a LEFT JOIN LATERAL (SELECT * FROM reward AS r WHERE r.beneficiary_id = a.participant_id
                AND r.program_id = a.program_id AND r.reward_id = a.reward_id AND r.asset = a.asset OFFSET 0) AS r
            ON true
        )
        SELECT EXISTS (SELECT FROM with_rewards AS w WHERE reward_id IS NULL OR net_minor < 0
            OR is_taken AND net_minor > 0 AND (
                SELECT sum(v.amount_minor) = c.amount_minor AND (c.amount_minor > 0 OR bool_or(v.completes))
                FROM conversion AS c JOIN reversal AS v USING (program_id, conversion_id)
                WHERE c.program_id = w.program_id AND c.conversion_id = w.conversion_id GROUP BY c.amount_minor))
    """,
    # Of one program, revisions alone are left to the next audit of all: they do not say whose they are.
    "revisions": f"""
        SELECT EXISTS (
            SELECT FROM (SELECT reward_id, sum(amount_minor) AS taken_minor FROM news
                WHERE kind IN ({TAKEN}) GROUP BY 1) AS t
            FULL JOIN (SELECT reward_id, -sum(delta_minor) AS revised_minor FROM reward_revision
                WHERE writer >= :since GROUP BY 1) AS v USING (reward_id)
            WHERE taken_minor IS DISTINCT FROM revised_minor AND (:program_id = '' OR taken_minor IS NOT NULL))
    """,
    # What was released is not on hold any more, and what is new is on hold as long as its hold is there.
    "holds": f"""
        WITH about AS MATERIALIZED (
            SELECT program_id, participant_id, reward_id, bool_or(kind = {TransferKind.ACCRUAL:d}) AS is_new,
                bool_or(kind = {TransferKind.RELEASE:d}) AS is_released,
                sum(CASE WHEN credit = {AccountKind.HELD:d} THEN amount_minor ELSE -amount_minor END) AS held_minor
            FROM news WHERE reward_id IS NOT NULL AND {AccountKind.HELD:d} IN (debit, credit) GROUP BY 1, 2, 3
        ), with_holds AS MATERIALIZED (
            SELECT a.*, r.amount_minor + coalesce((SELECT sum(v.delta_minor) FROM reward_revision AS v
                    WHERE v.reward_id = r.reward_id), 0) AS net_minor,
                EXISTS (SELECT FROM hold AS h WHERE h.program_id = r.program_id
                    AND h.conversion_id = r.conversion_id AND h.due_time = r.hold_until) AS is_held
            FROM about AS a CROSS JOIN LATERAL (SELECT * FROM reward AS r WHERE r.beneficiary_id = a.participant_id
                AND r.program_id = a.program_id AND r.reward_id = a.reward_id OFFSET 0) AS r
        )
        SELECT EXISTS (SELECT FROM with_holds WHERE (is_held AND is_released)
            OR (is_new AND held_minor <> CASE WHEN is_held THEN net_minor ELSE 0 END))
    """,
    "limits": f"""
        SELECT EXISTS (
            SELECT FROM (SELECT participant_id FROM news UNION SELECT '') AS p
            CROSS JOIN LATERAL (SELECT * FROM tally AS t WHERE t.subject = p.participant_id OFFSET 0) AS t
            JOIN unnest(CAST(:limit_programs AS text[]), CAST(:limit_names AS text[]), CAST(:limit_amounts AS bigint[]))
                AS l (program_id, name, amount_minor) USING (program_id, name)
            WHERE {SCOPE} AND (value > amount_minor OR value < 0))
    """,
}
_COUNTS = text(f"""
    SELECT (SELECT count(*) FROM news) AS movement_count, (SELECT count(*) FROM touched) AS account_count,
        (SELECT count(*) FROM news WHERE kind = {TransferKind.ACCRUAL:d}) AS reward_count
""")


@dataclass(frozen=True, slots=True)
class Look:
    """Counts of what was looked at, and the signs that something of it is wrong."""

    movement_count: int
    account_count: int
    reward_count: int
    signs: tuple[str, ...]


async def execute(conn: AsyncConnection, sql: str, values: Mapping[str, object]) -> CursorResult[Any]:
    """Executes a statement with those of the values that it asks for."""
    statement = text(sql)
    return await conn.execute(statement, {each: values[each] for each in statement.compile().params})


async def examine_news(conn: AsyncConnection, since: int, programs: Sequence[str], given: Mapping[str, object]) -> Look:
    """Looks at what was written at the horizon `since` and beyond. Leaves the table `news` until the transaction ends.

    `programs`: those whose own accounts are compared; `given`: what the statements of checks ask for.
    """
    await conn.execute(_BY_INDEX)
    values = {**given, "since": since, "programs": programs}
    for each in _STAGE:
        await execute(conn, each, values)
    signs = [name for name, each in _SIGNS.items() if (await execute(conn, each, values)).scalar_one()]
    counts = (await conn.execute(_COUNTS)).one()
    return Look(counts.movement_count, counts.account_count, counts.reward_count, tuple(signs))


async def plan_as_usual(conn: AsyncConnection) -> None:
    """Lets the planner decide again how what comes after a look is read."""
    for each in _AS_USUAL:
        await conn.execute(text(each))
