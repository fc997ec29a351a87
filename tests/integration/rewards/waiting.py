"""Work that is brought to where it waits for a lock."""

import asyncio
from collections.abc import Awaitable

from sqlalchemy import text

from chassis.database import Database
from tests.running import DEADLINE_SECONDS

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = current_user")


async def stopped(database: Database, work: Awaitable[None]) -> "asyncio.Future[None]":
    """Starts the work; returns when it is done or waits for a lock."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not task.done():
            async with database.transaction() as conn:
                if (await conn.execute(_WAITING)).scalar_one():
                    break
            await asyncio.sleep(0.01)
    return task
