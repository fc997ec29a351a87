"""A session of the database whose connection was given up here goes on there where the server was not told: it may hold
locks, and where it waits for the rest of a COPY no timeout of the server ends it. So it is ended over another
connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog

TRY_AGAIN_SECONDS = (1.0, 10.0, 30.0, 60.0)
"""The pauses between tries: whatever made the connection silent may keep others from being made. After the last one
the session is left to the server, whose system gives up a connection when its peer is gone."""

TRY_SECONDS = 15.0
"""The longest time for one of them."""

# A session that began after the connection was last heard of is another one, which has got the same number.
_END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND usename = current_user AND backend_start < clock_timestamp() - make_interval(secs => %s)
"""

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

log = structlog.get_logger(__name__)
_ending: set[asyncio.Task[None]] = set()
"""The tasks under way, which the event loop itself does not keep alive."""


def end_session(connect: Connect, pid: int, silent_since: float) -> None:
    """Has a session of the same role ended, beside whatever the caller does.

    `connect`: makes another connection. `silent_since`: the event loop's time when it was last heard of.
    """
    task = asyncio.get_running_loop().create_task(_end(connect, pid, silent_since))
    _ending.add(task)
    task.add_done_callback(_ending.discard)


async def _end_once(connect: Connect, pid: int, silent_seconds: float) -> None:
    conn = await connect()
    try:
        await conn.set_autocommit(True)
        await conn.execute(_END, (pid, silent_seconds))
    finally:
        await conn.close()


async def _end(connect: Connect, pid: int, silent_since: float) -> None:
    for pause in (*TRY_AGAIN_SECONDS, None):
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await _end_once(connect, pid, asyncio.get_running_loop().time() - silent_since)
        except Exception as error:
            log.warning("cannot end a session of the database that was given up", session=pid, error=error)
        else:
            log.info("ended a session of the database that was given up", session=pid)
            return
        if pause is not None:
            await asyncio.sleep(pause)
