"""InboxService: the entries of a participant's inbox."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from upline.notify.v1 import notify_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pages import Filling, Pager, page_size
from services.notify.commands.deps import Deps
from services.notify.commands.inbox import mark_inbox_read
from services.notify.domain.inbox import Inbox
from services.notify.queries.deps import QueryDeps
from services.notify.queries.inbox import list_inbox, watch_inbox
from services.notify.wire.inbox import entry_message, read_entry_id


@dataclass(frozen=True, slots=True)
class InboxServicer:
    """Inboxes. Methods are named as the contract names them, which says the rest."""

    service = notify_pb2.DESCRIPTOR.services_by_name["InboxService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def ListInbox(self, request: notify_pb2.ListInboxRequest, _context: Context) -> notify_pb2.ListInboxResponse:
        inbox = Inbox(request.program_id, request.participant_id)
        position = self.pager.position(request, request.page_token)
        before = UUID(position[0]) if position else None
        page = await list_inbox(
            self.queries, inbox, before, page_size(request.page_size), unread_only=request.unread_only
        )
        filling: Filling[notify_pb2.InboxEntry] = Filling()
        async with aclosing(page.rendered) as rendered:
            async for each in rendered:
                if not filling.add(entry_message(each)):
                    break
        entries = filling.messages
        token = self.pager.next_token(request, page.found, len(entries), lambda last: [str(last.entry_id)])
        if not token and page.looked_up_to:
            token = self.pager.token(request, [str(page.looked_up_to)])
        return notify_pb2.ListInboxResponse(
            entries=entries,
            next_page_token=token,
            unread_count=page.unread.number,
            unread_count_is_lower_bound=page.unread.is_lower_bound,
        )

    async def MarkInboxRead(
        self, request: notify_pb2.MarkInboxReadRequest, _context: Context
    ) -> notify_pb2.MarkInboxReadResponse:
        up_to = read_entry_id(request.up_to_entry_id, "up_to_entry_id")

        def marked(count: int) -> notify_pb2.MarkInboxReadResponse:
            return notify_pb2.MarkInboxReadResponse(marked_count=count)

        call = call_of(request, notify_pb2.MarkInboxReadResponse, marked)
        return await mark_inbox_read(self.deps, call, Inbox(request.program_id, request.participant_id), up_to)

    async def WatchInbox(
        self, request: notify_pb2.WatchInboxRequest, _context: Context
    ) -> AsyncIterator[notify_pb2.WatchInboxResponse]:
        after = read_entry_id(request.after_entry_id, "after_entry_id") if request.after_entry_id else None
        inbox = Inbox(request.program_id, request.participant_id)
        async with aclosing(watch_inbox(self.queries, inbox, after)) as entries:
            async for rendered in entries:
                yield notify_pb2.WatchInboxResponse(entry=entry_message(rendered) if rendered else None)
