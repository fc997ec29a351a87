"""PlanService: plans and their versions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message
from upline.rewards.v1 import plan_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pacing import Beside
from chassis.pages import Pager, page_size
from chassis.times import to_timestamp
from services.rewards.commands.deps import Deps
from services.rewards.commands.plans import publish_plan
from services.rewards.domain.plan.plan import Plan
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.plans import get_plan, list_plans
from services.rewards.store.plans import PlanRow
from services.rewards.wire.plans import as_answered, read_plan, read_published_plan, stored_bytes
from services.rewards.wire.warnings import warning_messages, worst_case_messages

Request = TypeVar("Request", bound=Message)
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class PlanServicer:
    """Plans. Methods are named as the contract names them, which says the rest.

    What callers send is read in a thread: calls, settling and probes go on meanwhile.
    """

    service = plan_pb2.DESCRIPTOR.services_by_name["PlanService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager
    _reading: Beside = field(default_factory=partial(Beside, "plans-read"))
    """One plan at a time: the largest takes ten seconds at worst."""

    async def PublishPlan(
        self, request: plan_pb2.PublishPlanRequest, _context: Context
    ) -> plan_pb2.PublishPlanResponse:
        plan, content, warnings = await self._read(read_publication, request)
        call = call_of(request, plan_pb2.PublishPlanResponse, partial(published_message, warnings))
        return await publish_plan(self.deps, call, plan, content)

    async def ValidatePlan(
        self, request: plan_pb2.ValidatePlanRequest, _context: Context
    ) -> plan_pb2.ValidatePlanResponse:
        return await self._read(_validated, request)

    async def GetPlan(self, request: plan_pb2.GetPlanRequest, _context: Context) -> plan_pb2.GetPlanResponse:
        row = await get_plan(self.queries, request.program_id, request.version)
        return plan_pb2.GetPlanResponse(plan_version=_version_message(row))

    async def ListPlans(self, request: plan_pb2.ListPlansRequest, _context: Context) -> plan_pb2.ListPlansResponse:
        size = page_size(request.page_size)
        position = self.pager.position(request, request.page_token)
        rows = await list_plans(self.queries, request.program_id, position[0] if position else None, size + 1)
        messages, token = self.pager.page(request, rows, size, _version_message, lambda last: [last.version])
        return plan_pb2.ListPlansResponse(plan_versions=messages, next_page_token=token)

    async def _read(self, read: Callable[[Request], Read], request: Request) -> Read:
        return await self._reading.run(read, request)


def read_publication(request: plan_pb2.PublishPlanRequest) -> tuple[Plan, bytes, Iterable[plan_pb2.PlanWarning]]:
    """A plan that a caller publishes, as it is stored, and with warnings of what is probably not meant."""
    plan = read_published_plan(request)
    return plan, stored_bytes(request.plan), warning_messages(plan)


def _validated(request: plan_pb2.ValidatePlanRequest) -> plan_pb2.ValidatePlanResponse:
    plan = read_plan("", 0, request.currency_code, request.plan, None)
    return plan_pb2.ValidatePlanResponse(warnings=warning_messages(plan), worst_cases=worst_case_messages(plan))


def published_message(warnings: Iterable[plan_pb2.PlanWarning], row: PlanRow) -> plan_pb2.PublishPlanResponse:
    """The answer to a publication."""
    return plan_pb2.PublishPlanResponse(plan_version=_version_message(row), warnings=warnings)


def _version_message(row: PlanRow) -> plan_pb2.PlanVersion:
    return plan_pb2.PlanVersion(
        program_id=row.program_id,
        version=row.version,
        plan=as_answered(row.plan),
        effective_time=to_timestamp(row.effective_time) if row.effective_time else None,
        create_time=to_timestamp(row.create_time),
    )
