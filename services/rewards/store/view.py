"""The database as it was at one moment, for several transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database, allow_statements

SCHEMA = "rewards"

_UNHURRIED = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
_ONE_SNAPSHOT_TO_WRITE_BY = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


async def on_one_snapshot(conn: AsyncConnection, *, writes: bool = False) -> None:
    """Makes all that a transaction reads belong together, whatever is settled meanwhile; its first statement.

    One that `writes` fails where what it changes was changed since then.
    """
    await conn.execute(_ONE_SNAPSHOT_TO_WRITE_BY if writes else _ONE_SNAPSHOT)


async def join_snapshot(conn: AsyncConnection, snapshot_id: str) -> None:
    """Makes a transaction read what the one shows that exported the snapshot; its first statement."""
    await conn.execute(_ONE_SNAPSHOT)
    await conn.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot_id}'"))


@dataclass(frozen=True, slots=True)
class View:
    """The database as it was at one moment, for as long as the transaction lasts that exported it."""

    url: str
    snapshot_id: str


@asynccontextmanager
async def one_view(url: str) -> AsyncIterator[tuple[AsyncConnection, View]]:
    """A transaction whose view of the database others can share."""
    async with _unhurried(url) as conn:
        snapshot_id = (await conn.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
        yield conn, View(url, snapshot_id)


@asynccontextmanager
async def shared_view(view: View) -> AsyncIterator[AsyncConnection]:
    """A transaction that shares the view of another one."""
    async with _unhurried(view.url) as conn:
        await conn.execute(text(f"SET TRANSACTION SNAPSHOT '{view.snapshot_id}'"))
        yield conn


@asynccontextmanager
async def _unhurried(url: str) -> AsyncIterator[AsyncConnection]:
    database = Database(url, SCHEMA)
    try:
        async with database.transaction() as conn:
            for statement in _UNHURRIED:
                await conn.execute(text(statement))
            await allow_statements(conn, 0)
            yield conn
    finally:
        await database.close()
