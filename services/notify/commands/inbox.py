"""Marking the entries of an inbox as read."""

from uuid import UUID

from chassis.idempotency import Answer, Call, answer_once
from services.notify.commands.deps import Deps
from services.notify.domain.inbox import Inbox
from services.notify.store import entries as entry_store


async def mark_inbox_read(deps: Deps, call: Call[int, Answer], inbox: Inbox, up_to: UUID) -> Answer:
    """Marks the entries up to `up_to`, and that one, as read; the answer tells how many.

    Whatever is written meanwhile with a smaller id stays unread.
    """
    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, lambda: entry_store.mark_read(conn, inbox, up_to))
