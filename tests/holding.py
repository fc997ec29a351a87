"""No work of a service takes a second connection of a class while it holds one.

Where several do so at once, each holds what another waits for, and all of them wait in vain. All tests run under this
watch; work that is begun within a transaction counts as a part of it.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database

WITHOUT_WAITING_FOR_IT = {"services.rewards.store.audits.helpers"}
"""Modules whose work goes on without the second connection where none is free: an audit does without helpers."""
_HELD: ContextVar[dict[int, str]] = ContextVar("held", default={})  # noqa: B039 - replaced, never changed
_transaction = Database.transaction


class SecondConnectionError(Exception):
    """A second connection of a class was asked for by work that holds one. No code knows this error, or handles it."""


def watch_connections() -> None:
    """Begins the watch, for this process."""

    def transaction(self: Database) -> AbstractAsyncContextManager[AsyncConnection]:
        return _watched(self, sys._getframe(1).f_globals["__name__"])

    Database.transaction = transaction  # type: ignore[method-assign]


@asynccontextmanager
async def _watched(database: Database, module: str) -> AsyncIterator[AsyncConnection]:
    held = _HELD.get()
    if id(database) in held and not module.startswith("tests.") and module not in WITHOUT_WAITING_FOR_IT:
        raise SecondConnectionError(f"{module} asks for a second connection: {held[id(database)]} holds one")
    async with _transaction(database) as conn:
        if not module.startswith("tests."):  # a test may stand beside the work that it looks at
            _HELD.set(held | {id(database): module})
        try:
            yield conn
        finally:
            _HELD.set(held)
