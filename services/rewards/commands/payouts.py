"""Payouts, by which value leaves the system: callers ask for them, decide about them, hand them over in batches."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import already_exists, not_found
from services.rewards import events
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import as_preconditions, plan_in_force, withdraw
from services.rewards.domain.plan.periods import period_name
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally import tallies as tallies_domain
from services.rewards.domain.wallet import payout as domain
from services.rewards.domain.wallet.payout import Payout, PayoutState, ProviderAnswer, RequestedPayout
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import payouts, tallies, wallets
from services.rewards.wire.payouts import fitting_batch

BATCH_PAYOUTS = 10_000


async def request_payout(deps: Deps, requested: RequestedPayout) -> Payout:
    """Sets an amount aside to be paid out."""
    program_id, participant_id, asset = requested.program_id, requested.participant_id, requested.asset
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        plan = await plan_in_force(deps, conn, program_id, now)
        await wallets.lock(conn, [wallets.wallet_lock(program_id, participant_id)])
        existing = await payouts.load(conn, program_id, requested.payout_id)
        if existing is not None:
            return _require_repeated(existing, requested)
        terms = plan.terms.payouts.get(asset)
        with as_preconditions():
            fee_minor = domain.fee(terms, asset, requested.method, requested.amount_minor)
        if terms is not None and terms.gate is not None:
            counters = await _counters(conn, plan, participant_id, now)
            with as_preconditions():
                domain.pass_gate(terms.gate, counters, requested.amount_minor)
        payout = Payout(
            program_id=program_id,
            payout_id=requested.payout_id,
            participant_id=participant_id,
            asset=asset,
            amount_minor=requested.amount_minor,
            fee_minor=fee_minor,
            method=requested.method,
            destination=requested.destination,
            state=PayoutState.REQUESTED if terms and terms.approval else PayoutState.APPROVED,
            create_time=now,
            update_time=now,
        )
        if not await payouts.insert(conn, payout):
            raise _payout_exists(requested.payout_id)
        await withdraw(conn, domain.request(payout), now)
    return payout


async def _counters(conn: AsyncConnection, plan: Plan, participant_id: str, now: datetime) -> dict[str, int]:
    """The values of the plan's counters for a participant now, by their names."""
    keys = {
        name: (tallies_domain.counter(name), participant_id, period_name(counter.period, now, plan.zone))
        for name, counter in plan.counters.items()
    }
    values = await tallies.load(conn, plan.program_id, keys.values())
    return {name: values.get(key, 0) for name, key in keys.items()}


async def approve_payout(deps: Deps, program_id: str, payout_id: str) -> Payout:
    """Lets a payout go on that waited for a person."""
    return await change(deps, program_id, payout_id, lambda payout: (domain.approve(payout, deps.clock.now()), []))


async def reject_payout(deps: Deps, program_id: str, payout_id: str, reason: str) -> Payout:
    """Gives the amount back because a person says no."""
    return await change(deps, program_id, payout_id, lambda payout: domain.reject(payout, reason, deps.clock.now()))


async def report_payout(deps: Deps, program_id: str, payout_id: str, attempt: int, *answers: ProviderAnswer) -> Payout:
    """Takes a provider's answers to an attempt, one after the other."""

    def report(payout: Payout) -> tuple[Payout, list[WalletTransfer]]:
        moves: list[WalletTransfer] = []
        for each in answers:
            payout, moved = domain.report(payout, attempt, each, deps.clock.now())
            moves += moved
        return payout, moves

    return await change(deps, program_id, payout_id, report)


async def retry_payout(deps: Deps, program_id: str, payout_id: str) -> Payout:
    """Lets a failed payout be handed over once more."""
    return await change(deps, program_id, payout_id, lambda payout: (domain.retry(payout, deps.clock.now()), []))


async def cancel_payout(deps: Deps, program_id: str, payout_id: str) -> Payout:
    """Gives a failed payout up."""
    return await change(deps, program_id, payout_id, lambda payout: domain.cancel(payout, deps.clock.now()))


async def create_batch(
    deps: Deps, program_id: str, batch_id: str, method: str
) -> tuple[list[tuple[Payout, int]], Mapping[str, int]]:
    """Hands approved payouts over in one file: (the batch by payouts and attempts, decimal places by asset)."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        versions = (await deps.plans.load(conn, [program_id]))[program_id]
        if not versions:
            raise not_found("program", program_id)
        if await payouts.begin_batch(conn, program_id, batch_id, method, now):
            elsewhere = provider_methods(deps, await payouts.approved_methods(conn, program_id))
            approved = await payouts.lock_approved(conn, program_id, method, elsewhere, BATCH_PAYOUTS)
            # Payouts that the caller could not read in the answer would be handed over unseen.
            handed = fitting_batch([domain.sent(each, now, batch_id) for each in approved])
            await payouts.update(conn, handed)
            await payouts.insert_attempts(conn, handed)
        elif await payouts.batch_method(conn, program_id, batch_id) != method:
            raise already_exists("BATCH_EXISTS", f"batch {batch_id!r} is of another method", "batch_id")
        batch = await payouts.of_batch(conn, program_id, batch_id)
    return batch, versions.asset_digits


def provider_methods(deps: Deps, methods: set[str]) -> set[str]:
    """The methods among these whose payouts go to the provider, one by one."""
    return {each for each in methods if deps.provider is not None and deps.provider.takes(each)}


async def change(
    deps: Deps, program_id: str, payout_id: str, changed_by: Callable[[Payout], tuple[Payout, list[WalletTransfer]]]
) -> Payout:
    """Changes one payout behind its row's lock, and posts what moves."""
    async with deps.database.transaction() as conn:
        payout = await payouts.load(conn, program_id, payout_id, locked=True)
        if payout is None:
            raise not_found("payout", payout_id)
        with as_preconditions():
            changed, moves = changed_by(payout)
        if changed != payout:
            await payouts.update(conn, [changed])
            await wallets.post(conn, moves, deps.clock.now())
        if changed.state is not payout.state:
            await _publish_state(deps, conn, changed)
    deps.relay.wake()
    return changed


async def _publish_state(deps: Deps, conn: AsyncConnection, payout: Payout) -> None:
    """Appends the event that tells the participant where the payout stands, if its state is one to tell of."""
    versions = (await deps.plans.load(conn, [payout.program_id]))[payout.program_id]
    asset = next(asset for version in reversed(versions) for asset in version.assets if asset.code == payout.asset)
    if (fact := events.payout_answered(payout, asset)) is not None:
        await outbox.append(conn, events.messages([fact]))


def _require_repeated(existing: Payout, requested: RequestedPayout) -> Payout:
    """The payout that has the id, if it was asked for in the same words. ALREADY_EXISTS otherwise."""
    for field in ("participant_id", "asset", "amount_minor", "method", "destination"):
        if getattr(existing, field) != getattr(requested, field):
            raise _payout_exists(requested.payout_id)
    return existing


def _payout_exists(payout_id: str) -> Exception:
    return already_exists("PAYOUT_EXISTS", f"payout {payout_id!r} is another one", "payout_id")
