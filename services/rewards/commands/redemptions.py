"""Redemptions: value that was earned pays a part of an order."""

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, failed_precondition, invalid, not_found
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import as_preconditions, plan_in_force, withdraw
from services.rewards.domain.wallet import redemption as domain
from services.rewards.domain.wallet.redemption import Redemption, RedemptionState, RequestedRedemption
from services.rewards.store import redemptions, wallets
from services.rewards.store.redemptions import Refund


async def authorize_redemption(deps: Deps, requested: RequestedRedemption) -> Redemption:
    """Sets an amount aside, if the wallet has it and the order may be paid with it."""
    program_id, asset = requested.program_id, requested.asset
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        plan = await plan_in_force(deps, conn, program_id, now)
        if requested.order_currency_code != plan.currency_code:
            raise invalid("order_amount.currency_code", f"the program counts in {plan.currency_code}")
        await wallets.lock(
            conn,
            [
                wallets.wallet_lock(program_id, requested.participant_id),
                wallets.order_lock(program_id, requested.order_id),
            ],
        )
        existing = await redemptions.load(conn, program_id, requested.redemption_id)
        if existing is not None:
            return _require_repeated(existing, requested)
        terms = plan.terms.assets
        if asset not in terms:
            raise failed_precondition("NOT_SPENDABLE", f"{asset!r} is not an asset of the plan in force", "asset")
        others = await redemptions.of_order(conn, program_id, requested.order_id)
        with as_preconditions():
            worth = domain.worth_of(terms[asset], requested.amount_minor, requested.order_minor, others, terms)
        redemption = Redemption(
            program_id=program_id,
            redemption_id=requested.redemption_id,
            participant_id=requested.participant_id,
            asset=asset,
            authorized_minor=requested.amount_minor,
            captured_minor=0,
            refunded_minor=0,
            state=RedemptionState.AUTHORIZED,
            order_id=requested.order_id,
            order_minor=requested.order_minor,
            worth_minor=worth,
            create_time=now,
        )
        if not await redemptions.insert(conn, redemption):
            raise _redemption_exists(requested.redemption_id)
        await withdraw(conn, domain.authorization(redemption), now)
    return redemption


async def capture_redemption(deps: Deps, program_id: str, redemption_id: str, asked_minor: int | None) -> Redemption:
    """Spends what was set aside, or less of it. `asked_minor`: None for all."""
    async with deps.database.transaction() as conn:
        redemption = await _require_locked(conn, program_id, redemption_id)
        with as_preconditions():
            changed, moves = domain.capture(redemption, asked_minor)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, deps.clock.now())
    return changed


async def void_redemption(deps: Deps, program_id: str, redemption_id: str) -> Redemption:
    """Gives back what was set aside."""
    async with deps.database.transaction() as conn:
        redemption = await _require_locked(conn, program_id, redemption_id)
        with as_preconditions():
            changed, moves = domain.void(redemption)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, deps.clock.now())
    return changed


async def refund_redemption(
    deps: Deps, program_id: str, redemption_id: str, refund_id: str, asked_minor: int | None
) -> Redemption:
    """Gives back what was spent, or a part of it. `asked_minor`: None for all that is left."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        redemption = await _require_locked(conn, program_id, redemption_id)
        existing = await redemptions.refund_of(conn, program_id, refund_id)
        if existing is not None:
            if existing != (redemption_id, asked_minor):
                raise _refund_exists(refund_id)
            return redemption
        with as_preconditions():
            changed, moves = domain.refund(redemption, asked_minor)
        amount_minor = changed.refunded_minor - redemption.refunded_minor
        refund = Refund(program_id, refund_id, redemption_id, asked_minor, amount_minor, now)
        if not await redemptions.insert_refund(conn, refund):  # a refund of another redemption was quicker
            raise _refund_exists(refund_id)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, now)
    return changed


async def _require_locked(conn: AsyncConnection, program_id: str, redemption_id: str) -> Redemption:
    redemption = await redemptions.load(conn, program_id, redemption_id, locked=True)
    if redemption is None:
        raise not_found("redemption", redemption_id)
    return redemption


def _require_repeated(existing: Redemption, requested: RequestedRedemption) -> Redemption:
    """The redemption that has the id, if it was asked for in the same words. ALREADY_EXISTS otherwise."""
    before = (
        existing.participant_id,
        existing.asset,
        existing.authorized_minor,
        existing.order_id,
        existing.order_minor,
    )
    now = (
        requested.participant_id,
        requested.asset,
        requested.amount_minor,
        requested.order_id,
        requested.order_minor,
    )
    if before != now:
        raise _redemption_exists(requested.redemption_id)
    return existing


def _redemption_exists(redemption_id: str) -> Exception:
    return already_exists("REDEMPTION_EXISTS", f"redemption {redemption_id!r} is another one", "redemption_id")


def _refund_exists(refund_id: str) -> Exception:
    return already_exists("REFUND_EXISTS", f"refund {refund_id!r} is another one", "refund_id")
