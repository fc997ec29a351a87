"""Reading an inbox: a page of it, or its entries as they are written."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from chassis.pages import Portion
from services.notify.domain.inbox import Entry, Inbox, RenderedEntry
from services.notify.queries.deps import QueryDeps
from services.notify.store import entries as entry_store
from services.notify.store.entries import UnreadCount


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A part of an inbox, newest entries first."""

    found: Portion[Entry]
    """The entries of the page, and one more if there are more."""
    rendered: AsyncGenerator[RenderedEntry, None]
    """The entries of the page in words, each made when it is asked for."""
    looked_up_to: UUID | None
    """The last entry that was looked at, if the page may end for having looked at so many; else None."""
    unread: UnreadCount
    """How many entries of the whole inbox are unread."""


async def list_inbox(deps: QueryDeps, inbox: Inbox, before: UUID | None, size: int, *, unread_only: bool) -> InboxPage:
    """A page of an inbox with `size` entries at most, the newest ones, or the newest of those older than `before`."""
    async with deps.database.transaction() as conn:
        looked_up_to = None
        if unread_only:
            found, looked_up_to = await entry_store.page_of_unread(conn, inbox, before, size + 1)
        else:
            found = await entry_store.page(conn, inbox, before, size + 1)
        unread = await entry_store.unread_count(conn, inbox)
    return InboxPage(found, deps.words.render(found.items[:size]), looked_up_to, unread)


async def watch_inbox(deps: QueryDeps, inbox: Inbox, after: UUID | None) -> AsyncGenerator[RenderedEntry | None, None]:
    """Yields entries as they are written, until the caller leaves; before them those written since entry `after`.

    The first one is None: it says that the watch has begun.
    """
    with deps.watches.watch(inbox) as watch:
        await watch.begun()
        yield None
        if after is not None:
            async for portion in deps.watches.earlier(watch, after):
                async for each in deps.words.render(portion):
                    yield each
        async for portion in watch.live():
            async for each in deps.words.render(portion):
                yield each
