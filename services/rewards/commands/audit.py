"""The auditor: it recomputes every balance from the transfers, and every reward, and finds the differences."""

from dataclasses import replace
from functools import partial

from chassis.errors import not_found
from services.rewards.commands.deps import Deps
from services.rewards.store import audits, expiry
from services.rewards.store.audits import Audit, AuditFinding, TallyLimit
from services.rewards.store.plans import ProgramPlans
from services.rewards.store.view import on_one_snapshot


async def audit_ledger(deps: Deps, program_id: str) -> Audit:
    """Audits one program, or all for an empty id, on one snapshot of the database. NOT_FOUND for one without a plan.

    An audit of the same scope that is under way in this process answers this one too, whoever began it: each reads all
    that is stored, and a second one at the same time would find the same.
    """
    return await deps.audits.do(program_id, partial(_audit, deps, program_id))


async def _audit(deps: Deps, program_id: str) -> Audit:
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        plans = await deps.plans.load(conn, [program_id] if program_id else await expiry.programs(conn))
        if program_id in plans and not plans[program_id]:
            raise not_found("program", program_id)
        if program_id:  # of all programs, what no conversion needs is not compiled
            await plans.compile(conn, [(each, version.version) for each in plans for version in plans[each]])
        limits = _limits(plans)
        audit = await audits.run(conn, program_id, deps.clock.now(), limits)
    unreadable = [AuditFinding("PLAN_UNREADABLE", each, "plan", why) for each, why in sorted(plans.unreadable.items())]
    return replace(audit, findings=(*unreadable, *audit.findings))


def _limits(plans: ProgramPlans) -> list[TallyLimit]:
    """The limits of caps and budgets; one that a later version made smaller may have been used more before."""
    largest: dict[tuple[str, str], int] = {}
    for program_id, versions in plans.items():
        for version in versions:
            for name, amount_minor in version.limits.items():
                largest[program_id, name] = max(largest.get((program_id, name), 0), amount_minor)
    return [TallyLimit(program_id, name, amount_minor) for (program_id, name), amount_minor in largest.items()]
