"""Reading links, codes and shares."""

from chassis.pages import Portion
from services.attribution.domain.links import Code, Link, ResolvedCode, ShareCounts
from services.attribution.queries.deps import QueryDeps
from services.attribution.store import links as link_store
from services.attribution.store.participants import require_participant
from services.attribution.store.programs import load_program


async def get_link(deps: QueryDeps, program_id: str, link_id: str) -> Link:
    """One link. Raises NOT_FOUND if the program or the link is missing."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        return await link_store.require_link(conn, program_id, link_id)


async def list_links(
    deps: QueryDeps, program_id: str, participant_id: str, after: int, limit: int
) -> Portion[tuple[int, Link]]:
    """A participant's links behind number `after`, each with its number."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        await require_participant(conn, program_id, participant_id)
        return await link_store.list_links(conn, program_id, participant_id, after, limit)


async def get_code(deps: QueryDeps, program_id: str, code: str) -> Code:
    """One code, however it was typed. Raises NOT_FOUND if the program or the code is missing."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        return await link_store.require_code(conn, program_id, code)


async def list_codes(
    deps: QueryDeps, program_id: str, participant_id: str, after: int, limit: int
) -> list[tuple[int, Code]]:
    """A participant's codes behind number `after`, each with its number."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        await require_participant(conn, program_id, participant_id)
        return await link_store.list_codes(conn, program_id, participant_id, after, limit)


async def resolve_code(deps: QueryDeps, program_id: str, code: str) -> ResolvedCode:
    """A code, with the attributes of its owner and the title of its program."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        found = await link_store.require_code(conn, program_id, code)
        attributes, title = await link_store.load_owner(conn, found)
    return ResolvedCode(found, attributes, title)


async def get_share_counts(deps: QueryDeps, program_id: str, participant_id: str, max_channels: int) -> ShareCounts:
    """Shares by channel: a participant's, or the whole program's where no participant is named."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        if participant_id:
            await require_participant(conn, program_id, participant_id)
        return await link_store.load_share_counts(conn, program_id, participant_id, max_channels)
