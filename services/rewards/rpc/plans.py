"""upline.rewards.v1.PlanService."""

from dataclasses import dataclass

from upline.rewards.v1 import plan_pb2

from chassis.server import Context
from services.rewards.commands.deps import Deps
from services.rewards.commands.plans import publish_plan
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.plans import get_plan, list_plans
from services.rewards.wire.plans import read_plan
from services.rewards.wire.warnings import warning_messages, worst_case_messages


@dataclass(frozen=True, slots=True)
class PlanServicer:
    """Plans."""

    deps: Deps
    queries: QueryDeps

    async def PublishPlan(
        self, request: plan_pb2.PublishPlanRequest, _context: Context
    ) -> plan_pb2.PublishPlanResponse:
        return await publish_plan(self.deps, request)

    async def ValidatePlan(
        self, request: plan_pb2.ValidatePlanRequest, _context: Context
    ) -> plan_pb2.ValidatePlanResponse:
        plan = read_plan("", 0, request.currency_code, request.plan, None)
        return plan_pb2.ValidatePlanResponse(warnings=warning_messages(plan), worst_cases=worst_case_messages(plan))

    async def GetPlan(self, request: plan_pb2.GetPlanRequest, _context: Context) -> plan_pb2.GetPlanResponse:
        return await get_plan(self.queries, request)

    async def ListPlans(self, request: plan_pb2.ListPlansRequest, _context: Context) -> plan_pb2.ListPlansResponse:
        return await list_plans(self.queries, request)
