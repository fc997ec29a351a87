"""Contests that are over: their ranking becomes final, prizes are posted, and winners are told."""

from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.plan.contests import contest_cause
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import contests, plans, tallies, wallets

CONTESTS_A_ROUND = 20

log = structlog.get_logger(__name__)


async def close_due_contests(deps: Deps) -> int:
    """Closes contests whose time has come, each in a transaction of its own; returns how many there were. One whose
    program has facts waiting that came before is closed after them, or when it has waited for LONGEST_WAIT."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        due = await contests.due(conn, now, deps.contest_turns.begin(), CONTESTS_A_ROUND)

    async def close(program_id: str, contest_id: str) -> None:
        left_out = 0
        async with deps.program_turns.begin() as turn, deps.database.transaction() as conn:
            # Behind the lock of the program's facts none is half counted; a second process finds the contest closed.
            await plans.pin_versions(conn, [program_id])
            await turn.wait_for([program_id])
            await tallies.lock(conn, [program_id])
            if await contests.is_due(conn, program_id, contest_id, now):
                left_out = await contests.count_left_out(conn, program_id, contest_id)
                await _close(deps, conn, program_id, contest_id)
        if left_out:
            log.warning(
                "contest closed without facts that came in time and still wait",
                program=program_id,
                contest=contest_id,
                facts=left_out,
                waited_seconds=contests.LONGEST_WAIT.total_seconds(),
            )

    try:
        await deps.contest_turns.run_due(deps.database, {key: partial(close, *key) for key in due})
    finally:
        deps.relay.wake()
    return len(due)


async def _close(deps: Deps, conn: AsyncConnection, program_id: str, contest_id: str) -> None:
    """Closes one contest as the newest version that has it states it."""
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    version, contest = next(
        (version, each) for version in reversed(versions) for each in version.contests if each.contest_id == contest_id
    )
    now = deps.clock.now()
    (position,) = await tallies.draw_positions(conn, 1)
    ranking = await contests.ranking(conn, program_id, contest, contest.prize_ranks)
    await contests.close(conn, program_id, contest_id, version.version, now, position)
    cause = contest_cause(program_id, contest_id)
    prizes = [
        (rank, WalletTransfer(
            program_id, TransferKind.PRIZE, score.participant_id, AccountKind.ISSUANCE, AccountKind.AVAILABLE,
            prize.asset, prize.amount_minor, cause,
        ))
        for rank, score in enumerate(ranking, start=1)
        for prize in contest.won_at(rank)
    ]  # fmt: skip
    await wallets.post(conn, [prize for _, prize in prizes], now)
    if prizes:
        await outbox.append(conn, events.messages([events.prizes_won(contest_id, prizes, now, version.assets)]))
