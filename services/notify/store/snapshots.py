"""The entries that became visible between two moments, exactly.

Ids grow with time, but transactions commit in another order: a cursor over ids loses the row that commits late with a
smaller id, and an overlap window reads much twice and still guesses. PostgreSQL's own snapshots do not guess: each
cause keeps the transaction that wrote it, and a row is new if that was not visible in the snapshot before and is now.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.inbox import Entry, Inbox
from services.notify.store.entries import read, selected

LONGEST_WRITE_MS = 120_000
"""The longest time from making an id to committing its row: statements of the service end after 60 s, and idle
transactions too."""

# The statements of a search are planned each time, for what they search: a plan made for any snapshot and any number of
# inboxes reads whole tables, and planning takes less than a millisecond.
_NOW = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true), CAST(pg_current_snapshot() AS text)")
# Materialized, so that the index on `writer` finds the few new rows; with LIMIT 1 alone, the planner would rather walk
# the primary key from the oldest row of all.
_OLDEST_FRESH = text("""
    WITH fresh AS MATERIALIZED (
        SELECT entry_id FROM cause
        WHERE writer >= pg_snapshot_xmin(CAST(:before AS pg_snapshot))
          AND NOT pg_visible_in_snapshot(writer, CAST(:before AS pg_snapshot))
          AND pg_visible_in_snapshot(writer, CAST(:now AS pg_snapshot)))
    SELECT entry_id FROM fresh ORDER BY entry_id LIMIT 1
""")
_FRESH = selected("""
    JOIN unnest(CAST(:program_ids AS text[]), CAST(:participant_ids AS text[])) AS watched (program_id, participant_id)
         USING (program_id, participant_id)
    WHERE entry_id >= :oldest
      AND NOT pg_visible_in_snapshot(writer, CAST(:before AS pg_snapshot))
      AND pg_visible_in_snapshot(writer, CAST(:now AS pg_snapshot))
    ORDER BY entry_id LIMIT :limit
""")
_WRITER = text("SELECT CAST(writer AS text), CAST(writer_horizon AS text) FROM cause WHERE entry_id = :entry_id")
# An entry with a smaller id than the last one seen may have become visible after it, if their transactions overlapped.
_SINCE = selected("""
    WHERE program_id = :program_id AND participant_id = :participant_id AND entry_id > :position
      AND pg_visible_in_snapshot(writer, CAST(:now AS pg_snapshot))
      AND (entry_id > :after OR (writer >= CAST(:horizon AS xid8) AND writer <> CAST(:writer AS xid8)))
    ORDER BY entry_id LIMIT :limit
""")


async def snapshot(conn: AsyncConnection) -> str:
    """The snapshot of this moment, as PostgreSQL writes it. From here on the transaction plans each statement anew."""
    _, now = (await conn.execute(_NOW)).one()
    return str(now)


async def fresh_entries(
    conn: AsyncConnection, before: str, now: str, inboxes: Sequence[Inbox], limit: int
) -> list[Entry]:
    """Entries of `inboxes` that are visible in snapshot `now` and not in `before`; at most `limit`.

    This takes one small index look-up if nothing was written at all, else one more for each inbox.
    """
    oldest = (await conn.execute(_OLDEST_FRESH, {"before": before, "now": now})).scalar_one_or_none()
    if oldest is None:
        return []
    return await read(
        conn,
        _FRESH,
        {
            "program_ids": [each.program_id for each in inboxes],
            "participant_ids": [each.participant_id for each in inboxes],
            "oldest": oldest,
            "before": before,
            "now": now,
            "limit": limit,
        },
    )


class Resumption:
    """Reads, in pages, the entries up to a snapshot that a watcher has not seen since an entry.

    An entry written at the same moment as that one may be among them though it was seen: its id tells.
    """

    def __init__(self, inbox: Inbox, after: UUID, now: str) -> None:
        self._inbox = inbox
        self._after = after
        self._now = now
        self._position = after
        self._writer: tuple[str, str] | None = None

    async def page(self, conn: AsyncConnection, limit: int) -> list[Entry]:
        """The next entries, oldest first; empty at the end."""
        if self._writer is None:
            found = (await conn.execute(_WRITER, {"entry_id": self._after})).one_or_none()
            self._writer = (found[0], found[1]) if found else ("0", "0")
            if found:
                self._position = UUID(int=max(self._after.int - (LONGEST_WRITE_MS << 80), 0))
        writer, horizon = self._writer
        entries = await read(
            conn,
            _SINCE,
            {
                "program_id": self._inbox.program_id,
                "participant_id": self._inbox.participant_id,
                "position": self._position,
                "after": self._after,
                "writer": writer,
                "horizon": horizon,
                "now": self._now,
                "limit": limit,
            },
        )
        if entries:
            self._position = entries[-1].entry_id
        return entries
