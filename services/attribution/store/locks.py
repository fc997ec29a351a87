"""Advisory locks, one set a program. A transaction that takes several takes them in the order they stand here."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ARRIVALS = 1
_TREE = 2

_SHARED = text("SELECT pg_advisory_xact_lock_shared(:kind, hashtext(:program_id))")
_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:kind, hashtext(:program_id))")


async def admit_conversions(conn: AsyncConnection, program_id: str) -> None:
    """Held by whoever records conversions: no early reversal is put aside between its look and its commit."""
    await conn.execute(_SHARED, {"kind": _ARRIVALS, "program_id": program_id})


async def bar_conversions(conn: AsyncConnection, program_id: str) -> None:
    """Held by whoever puts a reversal aside because its conversion is not there."""
    await conn.execute(_EXCLUSIVE, {"kind": _ARRIVALS, "program_id": program_id})


async def lock_tree(conn: AsyncConnection, program_id: str) -> None:
    """Held by whoever binds a participant that exists already: two such binds at once could close a cycle.

    A new participant has nobody below him, so enrolling one under a sponsor needs no lock.
    """
    await conn.execute(_EXCLUSIVE, {"kind": _TREE, "program_id": program_id})
