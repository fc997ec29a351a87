"""What is done with a wallet at once: purchases, exchanges, gifts. Each is repeatable by the caller's id."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import redemption_pb2

from chassis.errors import already_exists, failed_precondition, invalid, not_found
from chassis.idempotency import body_hash
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import plan_in_force, withdraw
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR, AccountKind, TransferKind
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import redemptions, wallets

Answer = TypeVar("Answer", bound=Message)


async def purchase_item(deps: Deps, request: redemption_pb2.PurchaseItemRequest) -> redemption_pb2.PurchaseItemResponse:
    """Buys something from the catalogue of the plan in force."""

    async def buy(conn: AsyncConnection) -> redemption_pb2.PurchaseItemResponse:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, request.program_id, now)
        item = plan.terms.catalogue.get(request.sku)
        if item is None:
            raise not_found("item", request.sku)
        amount_minor = item.price_minor * (request.quantity or 1)
        if amount_minor > MAX_AMOUNT_MINOR:
            raise invalid("quantity", f"costs more than {MAX_AMOUNT_MINOR} minor units")
        move = WalletTransfer(
            request.program_id, TransferKind.PURCHASE, request.participant_id, AccountKind.AVAILABLE, AccountKind.REDEEMED, item.asset,
            amount_minor, f"purchase:{request.program_id}/{request.purchase_id}",
        )  # fmt: skip
        await withdraw(conn, move, now)
        return redemption_pb2.PurchaseItemResponse(asset=item.asset, amount_minor=amount_minor)

    return await _once(
        deps, request, request.purchase_id, TransferKind.PURCHASE, redemption_pb2.PurchaseItemResponse, buy
    )


async def exchange_asset(
    deps: Deps, request: redemption_pb2.ExchangeAssetRequest
) -> redemption_pb2.ExchangeAssetResponse:
    """Turns one asset into another at the rate of the plan in force, rounded down."""

    async def exchange(conn: AsyncConnection) -> redemption_pb2.ExchangeAssetResponse:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, request.program_id, now)
        terms = plan.terms.assets.get(request.asset)
        rate = terms.exchanges.get(request.into) if terms else None
        if rate is None:
            raise failed_precondition(
                "NOT_EXCHANGEABLE", f"{request.asset!r} cannot be turned into {request.into!r}", "into"
            )
        taken = request.amount_minor * rate.numerator // rate.denominator
        if not 0 < taken <= MAX_AMOUNT_MINOR:
            raise failed_precondition(
                "ROUNDS_TO_ZERO" if taken == 0 else "AMOUNT_TOO_LARGE",
                f"{request.amount_minor} minor units of {request.asset} are {taken} of {request.into}",
                "amount_minor",
            )
        cause = f"exchange:{request.program_id}/{request.exchange_id}"
        who, kind = request.participant_id, TransferKind.EXCHANGE
        given = WalletTransfer(
            request.program_id,
            kind,
            who,
            AccountKind.AVAILABLE,
            AccountKind.EXCHANGE,
            request.asset,
            request.amount_minor,
            cause,
        )
        got = WalletTransfer(
            request.program_id, kind, who, AccountKind.EXCHANGE, AccountKind.AVAILABLE, request.into, taken, cause
        )
        await withdraw(conn, given, now, [got])
        return redemption_pb2.ExchangeAssetResponse(into_amount_minor=taken)

    return await _once(
        deps, request, request.exchange_id, TransferKind.EXCHANGE, redemption_pb2.ExchangeAssetResponse, exchange
    )


async def give_asset(deps: Deps, request: redemption_pb2.GiveAssetRequest) -> redemption_pb2.GiveAssetResponse:
    """Passes something on to another participant."""
    if request.recipient_id == request.participant_id:
        raise invalid("recipient_id", "is the giver himself")

    async def give(conn: AsyncConnection) -> redemption_pb2.GiveAssetResponse:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, request.program_id, now)
        terms = plan.terms.assets.get(request.asset)
        if terms is None or not terms.transferable:
            raise failed_precondition("NOT_TRANSFERABLE", f"{request.asset!r} cannot be passed on", "asset")
        move = WalletTransfer(
            request.program_id, TransferKind.GIFT, request.participant_id, AccountKind.AVAILABLE, AccountKind.AVAILABLE,
            request.asset, request.amount_minor, f"gift:{request.program_id}/{request.gift_id}", request.recipient_id,
        )  # fmt: skip
        await withdraw(conn, move, now)
        return redemption_pb2.GiveAssetResponse()

    return await _once(deps, request, request.gift_id, TransferKind.GIFT, redemption_pb2.GiveAssetResponse, give)


async def _once(
    deps: Deps,
    request: redemption_pb2.PurchaseItemRequest | redemption_pb2.ExchangeAssetRequest | redemption_pb2.GiveAssetRequest,
    operation_id: str,
    kind: TransferKind,
    answer_type: type[Answer],
    carry_out: Callable[[AsyncConnection], Awaitable[Answer]],
) -> Answer:
    """Carries something out once behind the wallet's lock; the same again gets the first answer. ALREADY_EXISTS for another request."""
    digest = body_hash(request)
    taken = already_exists(f"{kind.name}_EXISTS", f"{operation_id!r} is another {kind.name.lower()}")
    async with deps.database.transaction() as conn:
        await wallets.lock(conn, [wallets.wallet_lock(request.program_id, request.participant_id)])
        known = await redemptions.operation(conn, request.program_id, kind, operation_id)
        if known is not None:
            if known[0] != digest:
                raise taken
            return answer_type.FromString(known[1])
        answer = await carry_out(conn)
        added = await redemptions.insert_operation(
            conn,
            {
                "program_id": request.program_id,
                "kind": int(kind),
                "operation_id": operation_id,
                "body_hash": digest,
                "response": answer.SerializeToString(),
                "create_time": deps.clock.now(),
            },
        )
        if not added:  # by a request for another wallet, meanwhile
            raise taken
    return answer
