"""Reading an inbox."""

from dataclasses import dataclass
from uuid import UUID

from upline.notify.v1 import notify_pb2

from chassis.database import Database
from chassis.pages import Pager, fitting, page_size
from services.notify.domain.inbox import Inbox
from services.notify.queries.words import Words
from services.notify.rendering.compiled import Rendered
from services.notify.store import entries as entry_store
from services.notify.wire.inbox import entry_to


@dataclass(frozen=True, slots=True)
class Reading:
    """What queries work with."""

    database: Database
    pager: Pager
    words: Words


async def list_inbox(reading: Reading, request: notify_pb2.ListInboxRequest) -> notify_pb2.ListInboxResponse:
    """One page of an inbox, newest first, with the count of unread entries in all."""
    inbox = Inbox(request.program_id, request.participant_id)
    position = reading.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reading.database.transaction() as conn:
        found = await entry_store.page(
            conn,
            inbox,
            UUID(position[0]) if position else None,
            size + 1,
            unread_only=request.unread_only,
        )
        unread = await entry_store.unread_count(conn, inbox)
    entries = fitting(shown_entry(each) for each in await reading.words.render(found[:size]))
    token = reading.pager.next_token(request, found, len(entries), lambda last: [str(last.entry_id)])
    return notify_pb2.ListInboxResponse(entries=entries, next_page_token=token, unread_count=unread)


def shown_entry(rendered: Rendered) -> notify_pb2.InboxEntry:
    """An entry in words, as a message."""
    return entry_to(rendered.entry, rendered.locale, rendered.title, rendered.body, rendered.amounts)
