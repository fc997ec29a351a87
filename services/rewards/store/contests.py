"""Contests: who stands where, and which are settled."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SETTLED = text("""
    SELECT program_id, contest_id FROM contest_settlement WHERE program_id = ANY (CAST(:program_ids AS text[]))
""")


async def settled(conn: AsyncConnection, program_ids: Collection[str]) -> list[tuple[str, str]]:
    """(program, contest) of those whose ranking is final."""
    rows = await conn.execute(_SETTLED, {"program_ids": list(program_ids)})
    return [(row.program_id, row.contest_id) for row in rows]
