"""The auditor: it recomputes every balance from the transfers, and every reward, and finds the differences."""

from collections.abc import Iterable
from dataclasses import replace

from chassis.errors import not_found
from services.rewards.commands.deps import Deps
from services.rewards.domain.plan.limits import Budget, Cap, CapScope
from services.rewards.domain.plan.plan import Plan
from services.rewards.store import audits, expiry
from services.rewards.store.audits import Audit, AuditFinding, TallyLimit
from services.rewards.store.view import on_one_snapshot


async def audit_ledger(deps: Deps, program_id: str) -> Audit:
    """Audits one program, or all for an empty id, on one snapshot of the database. NOT_FOUND for one without a plan."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        plans = await deps.plans.load(conn, [program_id] if program_id else await expiry.programs(conn))
        if program_id in plans and not plans[program_id]:
            raise not_found("program", program_id)
        limits = _limits(each for versions in plans.values() for each in versions)
        audit = await audits.run(conn, program_id, deps.clock.now(), limits)
    unreadable = [AuditFinding("PLAN_UNREADABLE", each, "plan", why) for each, why in sorted(plans.unreadable.items())]
    return replace(audit, findings=(*unreadable, *audit.findings))


def _limits(plans: Iterable[Plan]) -> list[TallyLimit]:
    """The limits of caps and budgets; one that a later version made smaller may have been used more before."""
    largest: dict[tuple[str, str], int] = {}
    for plan in plans:
        counted: list[Cap | Budget] = [*plan.budgets]
        counted += [cap for rule in plan.rules for cap in rule.caps if cap.scope is not CapScope.REWARD]
        for each in counted:
            key = plan.program_id, each.name
            largest[key] = max(largest.get(key, 0), each.amount_minor)
    return [TallyLimit(program_id, name, amount_minor) for (program_id, name), amount_minor in largest.items()]
