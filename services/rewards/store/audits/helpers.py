"""Connections that help with full audits, and how far these have come."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database, is_busy
from services.rewards.store.audits.findings import AUDIT_TIMEOUT_MS
from services.rewards.store.view import join_snapshot

MAX_HELPERS = 2
"""The most connections of calls, in a process, that help with full audits: with the three sweeping and the three
deciding calls that may be under way, eight of ten are in use, and two are left to all others, each of which needs one
for milliseconds."""

_EXPORT = text("SELECT pg_export_snapshot()")
# The transaction that exports waits for its helpers, idle, however long their last check takes.
_WAIT = text(f"SET LOCAL idle_in_transaction_session_timeout = {AUDIT_TIMEOUT_MS}")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AuditProgress:
    """How far a full audit has come."""

    done: int = 0
    total: int = 0


class Helpers:
    """The helpers of a process. Where none is free, an audit does without."""

    def __init__(self, database: Database, count: int = MAX_HELPERS) -> None:
        self._database = database
        self._free = count

    async def snapshot(self, conn: AsyncConnection) -> str:
        """The snapshot of a transaction, for helpers to join as long as it lasts."""
        await conn.execute(_WAIT)
        snapshot_id: str = (await conn.execute(_EXPORT)).scalar_one()
        return snapshot_id

    async def help(self, snapshot_id: str, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Does the work in a transaction of its own on that snapshot, or nothing where all are busy."""
        if not self._free:
            return
        self._free -= 1
        try:
            async with self._database.transaction() as conn:
                await join_snapshot(conn, snapshot_id)
                await work(conn)
        except Exception as error:
            if not is_busy(error):
                raise
            log.info("no connection was free to help with an audit")
        finally:
            self._free += 1
