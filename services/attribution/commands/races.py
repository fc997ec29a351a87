"""Work that lost a race against another process is done again, on what the winner left."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from chassis.errors import unavailable

MAX_ATTEMPTS = 10
"""Every lost race means that somebody else's work was committed; ten in a row happen to nobody."""

Result = TypeVar("Result")


async def in_transaction(database: Database, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Runs `work` in a transaction, again from the start when a row it adds was added by somebody else meanwhile."""
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.transaction() as conn:
                return await work(conn)
        except (psycopg.Error, DBAPIError) as error:
            if not _lost_race(error):
                raise
    raise unavailable("TOO_MANY_RACES", "others change the same rows all the time; try again")


def _lost_race(error: psycopg.Error | DBAPIError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected))
