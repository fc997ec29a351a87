"""Reversals."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from chassis.pages import Portion, read_portion, within_budget
from services.attribution.domain.reversal import Reversal, ReversedAmounts

_COLUMNS = """reversal_key, reversal_id, conversion_id, body_hash, draft, amount_minor, lines, completes, pending,
    create_time"""
_LOAD = text(f"""
    SELECT {_COLUMNS} FROM reversal
    WHERE program_id = :program_id AND reversal_id = ANY(CAST(:reversal_ids AS text[]))
""")
_OF_CONVERSIONS = text(f"""
    SELECT {_COLUMNS} FROM reversal
    WHERE program_id = :program_id AND conversion_id = ANY(CAST(:conversion_ids AS text[])) AND pending = :pending
    ORDER BY reversal_key
""")
_OF_CONVERSION = within_budget(
    f"SELECT {_COLUMNS} FROM reversal WHERE program_id = :program_id AND conversion_id = :conversion_id",
    "octet_length(draft) + octet_length(CAST(lines AS text))",
    "reversal_key",
)
_NEW_KEYS = text("SELECT nextval('reversal_key_seq') FROM generate_series(1, :count)")
_COPY = """
    COPY reversal (reversal_key, program_id, reversal_id, conversion_id, body_hash, draft, amount_minor, lines,
        completes, pending, create_time) FROM STDIN
"""
_APPLY = text("""
    UPDATE reversal SET amount_minor = :amount_minor, lines = CAST(:lines AS jsonb), completes = :completes,
        pending = false
    WHERE reversal_key = :reversal_key
""")


async def load_reversals(conn: AsyncConnection, program_id: str, reversal_ids: Collection[str]) -> dict[str, Reversal]:
    """Reversals by id; those not recorded are absent."""
    rows = await conn.execute(_LOAD, {"program_id": program_id, "reversal_ids": list(reversal_ids)})
    return {row.reversal_id: _reversal(row) for row in rows}


async def load_reversals_of(
    conn: AsyncConnection, program_id: str, conversion_ids: Collection[str], pending: bool
) -> list[Reversal]:
    """Reversals of several conversions in the order of recording: those applied, or those that wait."""
    wanted = {"program_id": program_id, "conversion_ids": list(conversion_ids), "pending": pending}
    return [_reversal(row) for row in await conn.execute(_OF_CONVERSIONS, wanted)]


async def list_reversals(conn: AsyncConnection, program_id: str, conversion_id: str) -> Portion[Reversal]:
    """The first reversals of one conversion in the order of recording."""
    wanted = {"program_id": program_id, "conversion_id": conversion_id}
    return await read_portion(conn, _OF_CONVERSION, wanted, _reversal)


async def new_keys(conn: AsyncConnection, count: int) -> list[int]:
    """Keys for `count` new reversals."""
    return list((await conn.execute(_NEW_KEYS, {"count": count})).scalars()) if count else []


async def insert_reversals(conn: AsyncConnection, program_id: str, reversals: Sequence[Reversal]) -> None:
    """Adds reversals. psycopg's UniqueViolation says that the id of one was taken meanwhile."""
    raw = await psycopg_connection(conn)
    async with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
        for each in sorted(reversals, key=lambda reversal: reversal.reversal_id):
            await copy.write_row(
                (
                    each.key,
                    program_id,
                    each.reversal_id,
                    each.conversion_id,
                    each.body_hash,
                    each.content,
                    each.amounts.amount_minor,
                    json.dumps(each.amounts.lines),
                    each.amounts.completes,
                    each.pending,
                    each.create_time,
                )
            )


async def apply_pending(conn: AsyncConnection, reversals: Sequence[Reversal]) -> None:
    """Writes the amounts of reversals that had come before their conversions, and now were applied."""
    if reversals:
        await conn.execute(
            _APPLY,
            [
                {
                    "reversal_key": each.key,
                    "amount_minor": each.amounts.amount_minor,
                    "lines": json.dumps(each.amounts.lines),
                    "completes": each.amounts.completes,
                }
                for each in reversals
            ],
        )


def _reversal(row: Row[Any]) -> Reversal:
    return Reversal(
        key=row.reversal_key,
        reversal_id=row.reversal_id,
        conversion_id=row.conversion_id,
        content=bytes(row.draft),
        body_hash=bytes(row.body_hash),
        amounts=ReversedAmounts(row.amount_minor, row.lines, row.completes),
        pending=row.pending,
        create_time=row.create_time,
    )
