"""Expiry: what nobody used in time goes, oldest first, after a warning."""

from datetime import timedelta

from chassis import outbox
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.commands.one_by_one import one_by_one
from services.rewards.domain.ledger import Place, TransferKind
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.plan.plan import in_force
from services.rewards.domain.wallet.expiry import look
from services.rewards.domain.wallet.wallet import Move
from services.rewards.store import expiry, wallets

WALLETS_A_ROUND = 200


async def expire(deps: Deps) -> int:
    """Takes what has expired, and tells of what soon will; returns how many wallets were looked at."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        versions = await deps.plans.load(conn, await expiry.programs(conn))
    wallets_to_look_at: list[tuple[str, str, Asset, timedelta]] = []
    for program_id, plans in versions.items():
        plan = in_force(plans, now)
        for asset in plan.assets if plan else ():
            span = plan.terms.assets[asset.code].expires_after if plan else None
            if span is None:
                continue
            async with deps.database.transaction() as conn:
                people = await expiry.to_look_at(conn, program_id, asset.code, now, WALLETS_A_ROUND)
            wallets_to_look_at += [(program_id, participant_id, asset, span) for participant_id in people]
    try:
        await one_by_one(wallets_to_look_at, lambda each: _look_at(deps, *each))
    finally:
        deps.relay.wake()
    return len(wallets_to_look_at)


async def _look_at(deps: Deps, program_id: str, participant_id: str, asset: Asset, span: timedelta) -> None:
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        await wallets.lock(conn, [wallets.wallet_lock(program_id, participant_id)])
        known = await expiry.next_look(conn, program_id, participant_id, asset.code)
        if known is not None and known[0] > now:
            return  # another process was here
        inflows, outflow = await expiry.flows(conn, program_id, participant_id, asset.code)
        found = look(inflows, outflow, span, now, known[1] if known else None)
        if found.expired_minor:
            move = Move(
                program_id, TransferKind.EXPIRY, participant_id, Place.AVAILABLE, Place.EXPIRED, asset.code,
                found.expired_minor, f"expiry:{program_id}/{participant_id}",
            )  # fmt: skip
            await wallets.post(conn, [move], now)
        if found.warned_time is not None:
            fact = events.expiring(program_id, participant_id, found.warned_minor, found.warned_time, asset)
            await outbox.append(conn, events.messages([fact]))
        await expiry.look_next(conn, program_id, participant_id, asset.code, found.check_time, found.warned_until)
