"""Reading programs."""

from chassis.pages import Portion
from services.attribution.domain.policy import Program
from services.attribution.queries.deps import QueryDeps
from services.attribution.store import programs as program_store


async def get_program(deps: QueryDeps, program_id: str) -> Program:
    """One program. Raises NOT_FOUND if there is none."""
    async with deps.database.transaction() as conn:
        return await program_store.load_program(conn, program_id)


async def list_programs(deps: QueryDeps, after: str, limit: int) -> Portion[Program]:
    """The first programs whose id is greater than `after`, by id."""
    async with deps.database.transaction() as conn:
        return await program_store.list_programs(conn, after, limit)
