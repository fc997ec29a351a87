"""Plan versions as they are stored."""

from chassis.errors import not_found
from chassis.pages import Portion
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import plans
from services.rewards.store.plans import PlanRow

_ABOVE_ALL = 2**31 - 1


async def get_plan(deps: QueryDeps, program_id: str, version: int) -> PlanRow:
    """One version as it is stored; 0 stands for the one in force now."""
    async with deps.database.transaction() as conn:
        versions = await require_plans(deps, conn, program_id)
        if version == 0:
            in_force = versions.in_force(deps.clock.now())
            if in_force is None:
                raise not_found("plan", f"{program_id} (none is in force yet)")
            version = in_force.version
        if version > len(versions):
            raise not_found("plan", f"{program_id} version {version}")
        return (await plans.load_rows(conn, program_id, version + 1, 1)).items[0]


async def list_plans(deps: QueryDeps, program_id: str, below: int | None, limit: int) -> Portion[PlanRow]:
    """The versions below one, or all, newest first."""
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, program_id)
        return await plans.load_rows(conn, program_id, _ABOVE_ALL if below is None else below, limit)
