"""The results of a rebuild beside what is stored: a schema for the time of the comparison."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.copying import NULL, copy_lines, escape
from services.rewards.domain.ledger import Reward
from services.rewards.domain.settle.clawback import Revision
from services.rewards.store import ledger
from services.rewards.store.history import Slice

COPIED = ("reward", "reward_revision", "balance_delta", "hold", "transfer")
"""Tables that the ledger's own writing fills."""
COUNTED = ("tally", "contest_score")
"""Tables that the writing of tallies fills, which needs their keys."""
MAX_DIFFERENCES = 1_000
"""The most differences that are told of one slice and table; where there are more, the first of them say why."""

_DECIDED = (
    "CREATE UNLOGGED TABLE {schema}.decided (program_id text NOT NULL, conversion_id text NOT NULL, snapshot text)",
    "COPY decided (program_id, conversion_id, snapshot) FROM STDIN",
)
_IN_SLICE = "program_id = :program_id AND conversion_id > :after AND conversion_id <= :up_to"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that is missing, or is one too many, or differs."""

    program_id: str
    conversion_id: str
    table: str
    row: str
    """The key of the row."""
    stored: str
    """The stored row as JSON; empty for one that is missing."""
    rebuilt: str
    """The computed row as JSON; empty for a stored row that is one too many."""


def _comparison(stored: str, rebuilt: str, key: str, conversion_id: str) -> str:
    """A statement that finds rows that are not the same on both sides, matched by `key`."""
    return f"""
        SELECT coalesce(s.{conversion_id}, b.{conversion_id}, '') AS conversion_id, coalesce(s.key, b.key) AS key,
            s.line AS stored, b.line AS rebuilt
        FROM (SELECT {key} AS key, {conversion_id}, to_jsonb(q)::text AS line FROM ({stored}) AS q) AS s
        FULL JOIN (SELECT {key} AS key, {conversion_id}, to_jsonb(q)::text AS line FROM ({rebuilt}) AS q) AS b
            ON s.key = b.key
        WHERE s.line IS DISTINCT FROM b.line
        ORDER BY 1, 2 LIMIT {MAX_DIFFERENCES}
    """


async def create(conn: AsyncConnection, schema: str) -> None:
    """Makes the schema. Needs the owner of the database."""
    await conn.execute(text(f"CREATE SCHEMA {schema}"))
    for name in COPIED:
        await conn.execute(text(f"CREATE UNLOGGED TABLE {schema}.{name} (LIKE rewards.{name})"))
    for name in COUNTED:
        await conn.execute(text(f"CREATE UNLOGGED TABLE {schema}.{name} (LIKE rewards.{name} INCLUDING INDEXES)"))
    await conn.execute(text(_DECIDED[0].format(schema=schema)))


async def drop(conn: AsyncConnection, schema: str) -> None:
    """Removes the schema with everything in it."""
    await conn.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))


async def use(conn: AsyncConnection, schema: str) -> None:
    """Turns to the schema for the rest of the transaction: statements of the ledger and of tallies write into it."""
    await conn.execute(text(f"SET LOCAL search_path = {schema}, rewards"))


async def write(
    conn: AsyncConnection,
    rewards: list[Reward],
    revisions: list[Revision],
    snapshots: Iterable[tuple[str, str, str | None]],
) -> None:
    """Adds computed rows to the schema that is in use. `snapshots`: program, conversion, JSON."""
    await ledger.post(conn, rewards, [], revisions)
    await copy_lines(
        conn,
        _DECIDED[1],
        (
            f"{program_id}\t{escape(conversion_id)}\t{NULL if snapshot is None else escape(snapshot)}\n"
            for program_id, conversion_id, snapshot in snapshots
        ),
    )


async def compare(conn: AsyncConnection, schema: str, part: Slice) -> list[RowDifference]:
    """Every row of the slice that is not stored as it was computed, in the transaction that computed it."""
    for name in COPIED[:2]:
        await conn.execute(text(f"ANALYZE {schema}.{name}"))
    parameters = {"program_id": part.program_id, "after": part.after, "up_to": part.up_to}
    statements = {
        "reward": _comparison(
            f"SELECT {ledger.REWARD_COLUMNS} FROM rewards.reward WHERE {_IN_SLICE}",
            f"SELECT {ledger.REWARD_COLUMNS} FROM {schema}.reward",
            "reward_id::text || ' ' || beneficiary_id",
            "conversion_id",
        ),
        "reward_revision": _comparison(
            f"""SELECT {ledger.REVISION_COLUMNS}, conversion_id FROM rewards.reward_revision
                JOIN (SELECT reward_id, conversion_id FROM rewards.reward WHERE {_IN_SLICE}) AS r USING (reward_id)""",
            f"""SELECT {ledger.REVISION_COLUMNS}, conversion_id FROM {schema}.reward_revision
                JOIN (SELECT reward_id, conversion_id FROM {schema}.reward) AS r USING (reward_id)""",
            "reward_id::text || ' ' || reversal_id",
            "conversion_id",
        ),
        "conversion": _comparison(
            f"SELECT conversion_id, snapshot FROM rewards.conversion WHERE event IS NOT NULL AND {_IN_SLICE}",
            f"SELECT conversion_id, snapshot FROM {schema}.decided",
            "conversion_id",
            "conversion_id",
        ),
        # A tally that was never counted is the same as one that is back at 0.
        "tally": _comparison(
            """SELECT '' AS conversion_id, name, subject, period, value FROM rewards.tally
                WHERE program_id = :program_id AND value <> 0""",
            f"SELECT '' AS conversion_id, name, subject, period, value FROM {schema}.tally WHERE value <> 0",
            "concat_ws(' ', name, subject, period)",
            "conversion_id",
        ),
        "contest_score": _comparison(
            """SELECT '' AS conversion_id, contest_id, participant_id, score, reach_time FROM rewards.contest_score
                WHERE program_id = :program_id""",
            f"SELECT '' AS conversion_id, contest_id, participant_id, score, reach_time FROM {schema}.contest_score",
            "concat_ws(' ', contest_id, participant_id)",
            "conversion_id",
        ),
    }
    found = []
    for table, statement in statements.items():
        rows: Any = await conn.execute(
            text(statement), {name: parameters[name] for name in text(statement).compile().params}
        )
        found += [
            RowDifference(part.program_id, row.conversion_id, table, row.key, row.stored or "", row.rebuilt or "")
            for row in rows
        ]
    return found
