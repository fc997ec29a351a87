"""Reading an inbox leaves marks."""

from upline.notify.v1 import notify_pb2

from chassis.idempotency import once
from services.notify.commands.deps import Deps
from services.notify.domain.inbox import Inbox
from services.notify.store import entries as entry_store
from services.notify.wire.inbox import entry_id_from


async def mark_inbox_read(deps: Deps, request: notify_pb2.MarkInboxReadRequest) -> notify_pb2.MarkInboxReadResponse:
    """Marks entries as read, up to and including one. What is written meanwhile with a smaller id stays unread."""
    up_to = entry_id_from(request.up_to_entry_id, "up_to_entry_id")
    inbox = Inbox(request.program_id, request.participant_id)
    async with deps.database.transaction() as conn:

        async def carry_out() -> notify_pb2.MarkInboxReadResponse:
            return notify_pb2.MarkInboxReadResponse(marked_count=await entry_store.mark_read(conn, inbox, up_to))

        return await once(conn, request, notify_pb2.MarkInboxReadResponse, carry_out)
