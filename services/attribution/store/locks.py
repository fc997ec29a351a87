"""Advisory locks, one set a program. A transaction that takes several takes them in the order in which they stand
here."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ARRIVALS = 1
_TREE = 2

_SHARED = text("SELECT pg_advisory_xact_lock_shared(:kind, hashtext(:program_id))")
_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:kind, hashtext(:program_id))")


async def admit_conversions(conn: AsyncConnection, program_id: str) -> None:
    """Waits until nobody bars conversions, and lets others record too. A transaction that records conversions holds
    this, so that no early reversal is put aside between its look for reversals and its commit."""
    await conn.execute(_SHARED, {"kind": _ARRIVALS, "program_id": program_id})


async def bar_conversions(conn: AsyncConnection, program_id: str) -> None:
    """Lets no conversion be recorded until the transaction ends. A transaction that puts a reversal aside, because its
    conversion is not there, holds this."""
    await conn.execute(_EXCLUSIVE, {"kind": _ARRIVALS, "program_id": program_id})


async def lock_tree(conn: AsyncConnection, program_id: str) -> None:
    """Lets nobody else bind participants who exist already until the transaction ends: two such binds at once could
    close a cycle.

    A new participant has nobody below, so enrolling one under a sponsor needs no lock.
    """
    await conn.execute(_EXCLUSIVE, {"kind": _TREE, "program_id": program_id})
