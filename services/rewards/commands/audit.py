"""The auditor: recomputes every balance from the transfers, and every reward, and says what differs."""

from chassis.errors import not_found
from services.rewards.commands.deps import Deps
from services.rewards.store import audits
from services.rewards.store.audits import Audit


async def audit_ledger(deps: Deps, program_id: str) -> Audit:
    """Audits one program, or all for an empty id, on one snapshot of the database. NOT_FOUND for one without a plan."""
    if program_id:
        async with deps.database.transaction() as conn:
            if not (await deps.plans.load(conn, [program_id]))[program_id]:
                raise not_found("program", program_id)
    async with deps.database.transaction() as conn:
        return await audits.run(conn, program_id, deps.clock.now())
