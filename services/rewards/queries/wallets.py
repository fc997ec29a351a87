"""Wallets and statements."""

from datetime import datetime

from chassis.pages import Portion
from services.rewards.domain.ledger import AccountKind
from services.rewards.domain.wallet.statement import AssetBalance, TransferView
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import wallets


async def get_wallet(
    deps: QueryDeps, program_id: str, participant_id: str, moment: datetime | None
) -> list[AssetBalance]:
    """A participant's balances, one for every asset that they can have or have; at a past moment, what had moved until
    then."""
    async with deps.database.transaction() as conn:
        versions = await require_plans(deps, conn, program_id)
        if moment is None:
            balances = await wallets.balances(conn, program_id, participant_id)
        else:
            balances = await wallets.balances_at(conn, program_id, participant_id, moment)
    return [
        AssetBalance(
            asset=asset,
            digits=digits,
            held_minor=balances.get((asset, AccountKind.HELD), 0),
            available_minor=balances.get((asset, AccountKind.AVAILABLE), 0),
            reserved_minor=balances.get((asset, AccountKind.RESERVED), 0),
            debt_minor=-balances.get((asset, AccountKind.DEBT), 0),
        )
        for asset, digits in versions.asset_digits.items()
    ]


async def list_transfers(
    deps: QueryDeps, program_id: str, participant_id: str, before: str, limit: int
) -> Portion[TransferView]:
    """A participant's transfers with ids below `before`, or all if it is empty, newest first."""
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, program_id)
        return await wallets.transfers(conn, program_id, participant_id, before or wallets.LAST_ID, limit)
