"""Redemptions: something earned pays a part of an order."""

from dataclasses import replace

from upline.rewards.v1 import redemption_pb2

from chassis.errors import already_exists, failed_precondition, invalid, not_found
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import as_preconditions, plan_in_force, withdraw
from services.rewards.domain.wallet import redemption as domain
from services.rewards.domain.wallet.redemption import Redemption, RedemptionState
from services.rewards.store import redemptions, wallets


async def authorize_redemption(deps: Deps, request: redemption_pb2.AuthorizeRedemptionRequest) -> Redemption:
    """Sets an amount aside, if the wallet has it and the order may be paid with it."""
    if request.order_amount.amount_minor <= 0:
        raise invalid("order_amount.amount_minor", "must be more than 0")
    now = deps.clock.now()
    wanted = Redemption(
        request.program_id,
        request.redemption_id,
        request.participant_id,
        request.asset,
        request.amount_minor,
        0,
        0,
        RedemptionState.AUTHORIZED,
        request.order_id,
        request.order_amount.amount_minor,
        0,
        now,
    )
    async with deps.database.transaction() as conn:
        plan = await plan_in_force(deps, conn, request.program_id, now)
        if request.order_amount.currency_code != plan.currency_code:
            raise invalid("order_amount.currency_code", f"the program counts in {plan.currency_code}")
        await wallets.lock(
            conn,
            [
                wallets.wallet_lock(request.program_id, request.participant_id),
                wallets.order_lock(request.program_id, request.order_id),
            ],
        )
        known = await redemptions.load(conn, request.program_id, request.redemption_id)
        if known is not None:
            return _the_same(known, wanted)
        terms = plan.terms.assets
        if request.asset not in terms:
            raise failed_precondition(
                "NOT_SPENDABLE", f"{request.asset!r} is not an asset of the plan in force", "asset"
            )
        others = await redemptions.of_order(conn, request.program_id, request.order_id)
        with as_preconditions():
            worth = domain.worth_of(terms[request.asset], wanted.authorized_minor, wanted.order_minor, others, terms)
        made = replace(wanted, worth_minor=worth)
        if not await redemptions.insert(conn, made):
            raise _taken(request.redemption_id)
        await withdraw(conn, domain.authorization(made), now)
    return made


async def capture_redemption(deps: Deps, request: redemption_pb2.CaptureRedemptionRequest) -> Redemption:
    """Spends what was set aside, or less."""
    asked_minor = _asked(request)
    async with deps.database.transaction() as conn:
        found = await redemptions.load(conn, request.program_id, request.redemption_id, locked=True)
        if found is None:
            raise not_found("redemption", request.redemption_id)
        with as_preconditions():
            changed, moves = domain.capture(found, asked_minor)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, deps.clock.now())
    return changed


async def void_redemption(deps: Deps, request: redemption_pb2.VoidRedemptionRequest) -> Redemption:
    """Gives back what was set aside."""
    async with deps.database.transaction() as conn:
        found = await redemptions.load(conn, request.program_id, request.redemption_id, locked=True)
        if found is None:
            raise not_found("redemption", request.redemption_id)
        with as_preconditions():
            changed, moves = domain.void(found)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, deps.clock.now())
    return changed


async def refund_redemption(deps: Deps, request: redemption_pb2.RefundRedemptionRequest) -> Redemption:
    """Gives back what was spent, whole or in part."""
    asked_minor = _asked(request)
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        found = await redemptions.load(conn, request.program_id, request.redemption_id, locked=True)
        if found is None:
            raise not_found("redemption", request.redemption_id)
        known = await redemptions.refund_of(conn, request.program_id, request.refund_id)
        if known is not None:
            if known != (request.redemption_id, asked_minor):
                raise _refund_taken(request.refund_id)
            return found
        with as_preconditions():
            changed, moves = domain.refund(found, asked_minor)
        added = await redemptions.insert_refund(
            conn,
            {
                "program_id": request.program_id,
                "refund_id": request.refund_id,
                "redemption_id": request.redemption_id,
                "asked_minor": asked_minor,
                "amount_minor": changed.refunded_minor - found.refunded_minor,
                "create_time": now,
            },
        )
        if not added:  # by a refund of another redemption, meanwhile
            raise _refund_taken(request.refund_id)
        await redemptions.update(conn, changed)
        await wallets.post(conn, moves, now)
    return changed


def _asked(request: redemption_pb2.CaptureRedemptionRequest | redemption_pb2.RefundRedemptionRequest) -> int | None:
    """How much is to be taken, None for all. INVALID_ARGUMENT where that is not said, or twice: no amount is not the
    whole."""
    if request.whole and request.amount_minor:
        raise invalid("whole", f"is true, and `amount_minor` is {request.amount_minor}: say one of them")
    if not (request.whole or request.amount_minor):
        raise invalid("whole", "say how much: true for all of it, or `amount_minor` above 0 for a part")
    return None if request.whole else request.amount_minor


def _the_same(known: Redemption, wanted: Redemption) -> Redemption:
    """The redemption that is there, if it was asked for in the same words."""
    told = ("participant_id", "asset", "authorized_minor", "order_id", "order_minor")
    if any(getattr(known, field) != getattr(wanted, field) for field in told):
        raise _taken(wanted.redemption_id)
    return known


def _taken(redemption_id: str) -> Exception:
    return already_exists("REDEMPTION_EXISTS", f"redemption {redemption_id!r} is another one", "redemption_id")


def _refund_taken(refund_id: str) -> Exception:
    return already_exists("REFUND_EXISTS", f"refund {refund_id!r} is another one", "refund_id")
