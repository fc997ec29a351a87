"""The collaborators that queries share."""

from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.clock import Clock
from chassis.database import Database
from chassis.errors import not_found
from chassis.pacing import Beside
from services.rewards.domain.plan.versions import PlanVersions
from services.rewards.store.plans import PlanCache


@dataclass(frozen=True, slots=True)
class QueryDeps:
    """Made once, at the composition root."""

    database: Database
    clock: Clock
    plans: PlanCache
    explaining: Beside = field(default_factory=partial(Beside, "explaining"))
    """Decides again what callers want explained, and puts it into words."""


async def require_plans(deps: QueryDeps, conn: AsyncConnection, program_id: str) -> PlanVersions:
    """Every version of a program's plan. NOT_FOUND if there is none: rewards knows a program by its plan."""
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    if not versions:
        raise not_found("program", program_id)
    return versions
