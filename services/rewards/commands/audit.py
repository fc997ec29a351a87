"""The auditor: recomputes every balance from the transfers, and every reward, and says what differs."""

from services.rewards.commands.deps import Deps
from services.rewards.store import audits
from services.rewards.store.audits import Audit


async def audit_ledger(deps: Deps, program_id: str) -> Audit:
    """Audits one program, or all for an empty id, on one snapshot of the database."""
    async with deps.database.transaction() as conn:
        return await audits.run(conn, program_id, deps.clock.now())
