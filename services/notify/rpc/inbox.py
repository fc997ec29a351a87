"""InboxService."""

from collections.abc import AsyncIterator

from upline.notify.v1 import notify_pb2

from chassis.server import Context
from services.notify.commands.deps import Deps
from services.notify.commands.inbox import mark_inbox_read
from services.notify.domain.inbox import Inbox
from services.notify.queries.inbox import Reading, list_inbox, shown_entry
from services.notify.queries.watch import Watches
from services.notify.wire.inbox import entry_id_from


class InboxServicer:
    """The in-app inbox."""

    def __init__(self, deps: Deps, reading: Reading, watches: Watches) -> None:
        self._deps = deps
        self._reading = reading
        self._watches = watches

    async def ListInbox(self, request: notify_pb2.ListInboxRequest, _context: Context) -> notify_pb2.ListInboxResponse:
        """See the contract."""
        return await list_inbox(self._reading, request)

    async def MarkInboxRead(
        self, request: notify_pb2.MarkInboxReadRequest, _context: Context
    ) -> notify_pb2.MarkInboxReadResponse:
        """See the contract."""
        return await mark_inbox_read(self._deps, request)

    async def WatchInbox(
        self, request: notify_pb2.WatchInboxRequest, _context: Context
    ) -> AsyncIterator[notify_pb2.WatchInboxResponse]:
        """See the contract."""
        after = entry_id_from(request.after_entry_id, "after_entry_id") if request.after_entry_id else None
        with self._watches.watch(Inbox(request.program_id, request.participant_id)) as watch:
            await watch.begun()
            yield notify_pb2.WatchInboxResponse()
            if after is not None:
                async for portion in self._watches.earlier(watch, after):
                    for rendered in await self._reading.words.render(portion):
                        yield notify_pb2.WatchInboxResponse(entry=shown_entry(rendered))
            async for portion in watch.live():
                for rendered in await self._reading.words.render(portion):
                    yield notify_pb2.WatchInboxResponse(entry=shown_entry(rendered))
