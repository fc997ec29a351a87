"""Reading a participant's preferences."""

from services.notify.domain.inbox import Inbox
from services.notify.queries.deps import QueryDeps
from services.notify.store import preferences as preference_store


async def get_locale(deps: QueryDeps, inbox: Inbox) -> str:
    """The language a participant prefers; empty if they chose none."""
    async with deps.database.transaction() as conn:
        return await preference_store.locale(conn, inbox)
