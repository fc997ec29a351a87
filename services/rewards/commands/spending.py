"""Spending from a wallet: the plan in force, the balance that can be used, and debts that are repaid first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import failed_precondition, not_found
from services.rewards.commands.deps import Deps
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.wallet.wallet import EMPTY_POCKET, PreconditionError, WalletTransfer, repay_debt, spend
from services.rewards.store import wallets

DEBTORS_A_ROUND = 200


@contextmanager
def as_preconditions() -> Iterator[None]:
    """Turns a precondition that the domain finds missing into FAILED_PRECONDITION."""
    try:
        yield
    except PreconditionError as error:
        raise failed_precondition(error.reason, str(error)) from error


async def plan_in_force(deps: Deps, conn: AsyncConnection, program_id: str, now: datetime) -> Plan:
    """The plan whose terms hold now. NOT_FOUND if the program has none."""
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    if not versions:
        raise not_found("program", program_id)
    version = versions.in_force(now)
    if version is None:
        raise not_found("plan", f"{program_id} (none is in force yet)")
    return await deps.plans.plan(conn, program_id, version.version)


async def withdraw(
    conn: AsyncConnection, move: WalletTransfer, now: datetime, more: Sequence[WalletTransfer] = ()
) -> None:
    """Posts a move out of AVAILABLE and `more` with it, behind the wallet's lock.

    FAILED_PRECONDITION if the wallet has too little.
    """
    pockets = await wallets.pockets(conn, move.program_id, [move.participant_id])
    with as_preconditions():
        moves = spend(move, pockets.get((move.participant_id, move.asset), EMPTY_POCKET))
    await wallets.post(conn, [*moves, *more], now)


async def repay_debts(deps: Deps) -> int:
    """Repays debts out of what became available since; returns how many wallets owed something of it."""
    async with deps.database.transaction() as conn:
        debtors = await wallets.debtors(conn, deps.debtor_turns.begin(), DEBTORS_A_ROUND)

    async def repay(program_id: str, participant_id: str) -> None:
        async with deps.database.transaction() as conn:
            await wallets.lock(conn, [wallets.wallet_lock(program_id, participant_id)])
            moves: list[WalletTransfer] = []
            pockets = await wallets.pockets(conn, program_id, [participant_id])
            for (_, asset), pocket in sorted(pockets.items()):
                moves += repay_debt(program_id, participant_id, asset, pocket, f"debt:{program_id}/{participant_id}")
            await wallets.post(conn, moves, deps.clock.now())

    await deps.debtor_turns.run_due(deps.database, {key: partial(repay, *key) for key in debtors})
    return len(debtors)
