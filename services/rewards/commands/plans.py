"""Publishing plans."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import failed_precondition, invalid
from chassis.idempotency import Answer, Call, answer_once
from services.rewards.commands.deps import Deps
from services.rewards.domain.plan.plan import Plan
from services.rewards.store import contests, plans
from services.rewards.store.plans import PlanRow
from services.rewards.wire.plans import stored_today

_NEWEST = 2**31 - 1


async def publish_plan(deps: Deps, call: Call[PlanRow, Answer], plan: Plan, content: bytes) -> Answer:
    """Publishes a plan as the next version, unless the newest one already says the same. `content`: as it is stored."""
    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, lambda: _publish(deps, conn, plan, content))


async def _publish(deps: Deps, conn: AsyncConnection, plan: Plan, content: bytes) -> PlanRow:
    await plans.lock(conn, plan.program_id)
    now, effective_time = deps.clock.now(), plan.effective_time
    newest = next(iter((await plans.load_rows(conn, plan.program_id, _NEWEST, 1)).items), None)
    if newest is not None:
        if newest.currency_code != plan.currency_code:
            raise invalid(
                "currency_code", f"version {newest.version} counts in {newest.currency_code}; it cannot change"
            )
        if stored_today(newest.plan) == content and effective_time in (None, newest.effective_time):
            return newest
        effective_time = _after_newest(effective_time, newest, now)
    version = newest.version + 1 if newest else 1
    row = PlanRow(plan.program_id, version, plan.currency_code, content, effective_time, now)
    await plans.insert(conn, row)
    await contests.expect(conn, plan.program_id, plan.contests)
    return row


def _after_newest(effective_time: datetime | None, newest: PlanRow, now: datetime) -> datetime:
    """The time at which a later version takes effect: not before now, because conversions until now are paid already;
    not before the version ahead of it."""
    if effective_time is None:
        effective_time = now
    elif effective_time < now:
        raise failed_precondition(
            "PLAN_IN_THE_PAST",
            f"a later version cannot take effect in the past: conversions since {effective_time.isoformat()} may be"
            " paid already",
            "effective_time",
        )
    if newest.effective_time is not None and effective_time <= newest.effective_time:
        raise failed_precondition(
            "PLAN_VERSIONS_OVERLAP",
            f"version {newest.version} takes effect at {newest.effective_time.isoformat()};"
            " the next one must do so later",
            "effective_time",
        )
    return effective_time
