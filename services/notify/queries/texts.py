"""Reading the texts of a program."""

from services.notify.domain.texts import PublishedTexts
from services.notify.queries.deps import QueryDeps
from services.notify.rendering.builtin import BUILT_IN
from services.notify.store import texts as texts_store


async def get_texts(deps: QueryDeps, program_id: str) -> PublishedTexts:
    """The newest texts of a program; the built-in ones, version 0, if it published none."""
    async with deps.database.transaction() as conn:
        newest = await texts_store.newest(conn, program_id)
    return newest or PublishedTexts(0, BUILT_IN)
