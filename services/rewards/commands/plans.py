"""Publishing plans."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import plan_pb2

from chassis.errors import failed_precondition, invalid
from chassis.idempotency import once
from chassis.times import to_datetime
from services.rewards.commands.deps import Deps
from services.rewards.domain.plan.plan import Plan
from services.rewards.store import contests, plans
from services.rewards.store.plans import PlanRow
from services.rewards.wire.plans import as_answered, as_stored, read_plan
from services.rewards.wire.warnings import warning_messages

_NEWEST = 2**31 - 1


async def publish_plan(deps: Deps, request: plan_pb2.PublishPlanRequest) -> plan_pb2.PublishPlanResponse:
    """Publishes the next version, unless the newest one already says the same. Warns of what is probably not meant."""
    effective_time = None
    if request.HasField("effective_time"):
        try:
            effective_time = to_datetime(request.effective_time)
        except ValueError as error:
            raise invalid("effective_time", str(error)) from error
    plan = read_plan(request.program_id, 0, request.currency_code, request.plan, effective_time)
    async with deps.database.transaction() as conn:
        return await once(
            conn, request, plan_pb2.PublishPlanResponse, lambda: _publish(deps, conn, request, plan, effective_time)
        )


async def _publish(
    deps: Deps, conn: AsyncConnection, request: plan_pb2.PublishPlanRequest, plan: Plan, effective_time: datetime | None
) -> plan_pb2.PublishPlanResponse:
    await plans.lock(conn, request.program_id)
    now = deps.clock.now()
    newest = next(iter(await plans.load_rows(conn, request.program_id, _NEWEST, 1)), None)
    content = as_stored(request.plan).SerializeToString(deterministic=True)
    if newest is not None:
        if newest.currency_code != request.currency_code:
            raise invalid(
                "currency_code", f"version {newest.version} counts in {newest.currency_code}; it cannot change"
            )
        if _means(newest.plan) == content and effective_time in (None, newest.effective_time):
            return _answer(newest, plan)
        effective_time = _after_all(effective_time, newest, now)
    row = PlanRow(
        request.program_id, newest.version + 1 if newest else 1, request.currency_code, content, effective_time, now
    )
    await plans.insert(conn, row)
    await contests.expect(conn, request.program_id, plan.contests)
    return _answer(row, plan)


def _means(stored: bytes) -> bytes:
    """A stored plan as it would be stored today: comparable with one that says the same in other words."""
    return as_stored(as_answered(stored)).SerializeToString(deterministic=True)


def _answer(row: PlanRow, plan: Plan) -> plan_pb2.PublishPlanResponse:
    return plan_pb2.PublishPlanResponse(plan_version=plans.version_message(row), warnings=warning_messages(plan))


def _after_all(effective_time: datetime | None, newest: PlanRow, now: datetime) -> datetime:
    """When a later version takes effect: not before now, for what happened is paid; not before the version ahead of it."""
    if effective_time is None:
        effective_time = now
    elif effective_time < now:
        raise failed_precondition(
            "PLAN_IN_THE_PAST",
            f"a later version cannot take effect in the past: conversions since {effective_time.isoformat()} may be paid already",
            "effective_time",
        )
    if newest.effective_time is not None and effective_time <= newest.effective_time:
        raise failed_precondition(
            "PLAN_VERSIONS_OVERLAP",
            f"version {newest.version} takes effect at {newest.effective_time.isoformat()}; the next one must do so later",
            "effective_time",
        )
    return effective_time
