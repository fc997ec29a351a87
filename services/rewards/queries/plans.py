"""Plan versions."""

from upline.rewards.v1 import plan_pb2

from chassis.errors import not_found
from chassis.pages import page_size
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import plans

_ABOVE_ALL = 2**31 - 1


async def get_plan(deps: QueryDeps, request: plan_pb2.GetPlanRequest) -> plan_pb2.GetPlanResponse:
    """One version, or the one in force now."""
    async with deps.database.transaction() as conn:
        versions = await require_plans(deps, conn, request.program_id)
        version = request.version
        if version == 0:
            plan = versions.in_force(deps.clock.now())
            if plan is None:
                raise not_found("plan", f"{request.program_id} (none is in force yet)")
            version = plan.version
        if version > len(versions):
            raise not_found("plan", f"{request.program_id} version {version}")
        row = (await plans.load_rows(conn, request.program_id, version + 1, 1))[0]
    return plan_pb2.GetPlanResponse(plan_version=plans.version_message(row))


async def list_plans(deps: QueryDeps, request: plan_pb2.ListPlansRequest) -> plan_pb2.ListPlansResponse:
    """The versions, newest first."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, request.program_id)
        rows = await plans.load_rows(conn, request.program_id, position[0] if position else _ABOVE_ALL, size + 1)
    versions, token = deps.pager.page(request, rows, size, plans.version_message, lambda last: [last.version])
    return plan_pb2.ListPlansResponse(plan_versions=versions, next_page_token=token)
