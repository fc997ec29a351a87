"""Expiry: value that nobody used in time goes, oldest first, after a warning."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.ids import id_time
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.settle.clawback import Clawback
from services.rewards.domain.settle.debts import ExpiredPart, ExpiredValue, PocketKey
from services.rewards.domain.wallet.expiry import scan_wallet
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import expiry, wallets
from services.rewards.store.plans import ProgramPlans

WALLETS_A_ROUND = 200


async def expire(deps: Deps) -> int:
    """Scans wallets: takes value that has expired, and warns of value that soon will; returns how many were scanned."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        versions = await deps.plans.load(conn, await expiry.programs(conn))
    resting = deps.scan_turns.begin()
    due: dict[PocketKey, Callable[[], Awaitable[object]]] = {}
    for program_id, plans in versions.items():
        version = plans.in_force(now)
        for asset in version.assets if version else ():
            span = version.lifetimes.get(asset.code) if version else None
            if span is None:
                continue
            async with deps.database.transaction() as conn:
                passing = [who for program, who, code in resting if (program, code) == (program_id, asset.code)]
                people = await expiry.due_scans(conn, program_id, asset.code, now, passing, WALLETS_A_ROUND)
            for who in people:
                due[program_id, who, asset.code] = partial(_scan, deps, now, program_id, who, asset, span)
    try:
        await deps.scan_turns.run_due(deps.database, due)
    finally:
        deps.relay.wake()
    return len(due)


async def _scan(deps: Deps, now: datetime, program_id: str, participant_id: str, asset: Asset, span: timedelta) -> None:
    """Scans one wallet. `now`: when the terms were read that say `span`; it dates what expires by them."""
    async with deps.database.transaction() as conn:
        await wallets.lock(conn, [wallets.wallet_lock(program_id, participant_id)])
        known = await expiry.lock_scan(conn, program_id, participant_id, asset.code)
        if known is not None and known[0] > now:
            return  # another process was here
        inflows, outflow = await expiry.flows(conn, program_id, participant_id, asset.code)
        found = scan_wallet(inflows, outflow, span, now, known[1] if known else None)
        if found.expired_minor:
            move = WalletTransfer(
                program_id, TransferKind.EXPIRY, participant_id, AccountKind.AVAILABLE, AccountKind.EXPIRED, asset.code,
                found.expired_minor, f"expiry:{program_id}/{participant_id}",
            )  # fmt: skip
            await wallets.post(conn, [move], now)
        if found.warned_time is not None:
            fact = events.expiring(program_id, participant_id, found.warned_minor, found.warned_time, asset)
            await outbox.append(conn, events.messages([fact]))
        await expiry.schedule_scan(conn, program_id, participant_id, asset.code, found.check_time, found.warned_until)


async def load_expired(
    conn: AsyncConnection, versions: ProgramPlans, clawbacks: Sequence[Clawback]
) -> dict[PocketKey, ExpiredValue]:
    """The expired value of wallets that something available is taken out of. They are locked."""
    expiring = {
        (program_id, asset)
        for program_id, plans in versions.items()
        for version in plans
        for asset in version.lifetimes
    }
    touched: dict[PocketKey, list[str]] = {}
    for each in (transfer for clawback in clawbacks for transfer in clawback.transfers if expiring):
        if each.debit is AccountKind.AVAILABLE and (each.program_id, each.asset) in expiring:
            touched.setdefault((each.program_id, each.participant_id, each.asset), []).append(each.reward_id)
    if not touched:
        return {}
    parts: dict[PocketKey, list[ExpiredPart]] = {}
    withdrawn: dict[PocketKey, list[tuple[str, int]]] = {}
    for row in await expiry.expired_transfers(conn, touched):
        key = (row.program_id, row.participant_id, row.asset)
        if key not in touched:
            continue
        if row.reward_id is not None:
            withdrawn.setdefault(key, []).append((row.reward_id.hex, row.amount_minor))
            continue
        time = id_time(row.transfer_id)
        version = versions[row.program_id].in_force(time)
        if version is not None and (span := version.lifetimes.get(row.asset)) is not None:
            parts.setdefault(key, []).append(ExpiredPart(time - span, row.amount_minor))
    if not parts:
        return {}
    rewards = {reward_id for key in parts for reward_id in touched[key]}
    rewards |= {reward_id for each in withdrawn.values() for reward_id, _ in each}
    came = await expiry.available_times(conn, parts, rewards)
    return {key: ExpiredValue(each, came, withdrawn.get(key, ())) for key, each in parts.items()}
