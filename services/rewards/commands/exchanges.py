"""Uses of a wallet that are done at once: purchases, exchanges, gifts. Each is repeatable by the caller's id."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import UplineError, already_exists, failed_precondition, invalid, not_found
from chassis.idempotency import Answer, Call
from services.rewards.commands.deps import Deps
from services.rewards.commands.spending import plan_in_force, withdraw
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR, AccountKind, TransferKind
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.store import redemptions, wallets
from services.rewards.store.redemptions import Operation

Value = TypeVar("Value")


async def purchase_item(
    deps: Deps, call: Call[WalletTransfer, Answer], participant_id: str, sku: str, quantity: int
) -> Answer:
    """Buys something from the catalogue of the plan in force; the answer tells the transfer that pays for it."""
    program_id = call.program_id

    async def buy(conn: AsyncConnection) -> WalletTransfer:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, program_id, now)
        item = plan.terms.catalogue.get(sku)
        if item is None:
            raise not_found("item", sku)
        amount_minor = item.price_minor * quantity
        if amount_minor > MAX_AMOUNT_MINOR:
            raise invalid("quantity", f"costs more than {MAX_AMOUNT_MINOR} minor units")
        payment = WalletTransfer(
            program_id, TransferKind.PURCHASE, participant_id, AccountKind.AVAILABLE, AccountKind.REDEEMED, item.asset,
            amount_minor, f"purchase:{program_id}/{call.request_id}",
        )  # fmt: skip
        await withdraw(conn, payment, now)
        return payment

    is_another = already_exists("PURCHASE_EXISTS", f"{call.request_id!r} is another purchase", "purchase_id")
    return await _once(deps, call, participant_id, TransferKind.PURCHASE, buy, is_another)


async def exchange_asset(
    deps: Deps, call: Call[int, Answer], participant_id: str, asset: str, amount_minor: int, into: str
) -> Answer:
    """Turns one asset into another at the rate of the plan in force, rounded down; the answer tells what it came to."""
    program_id = call.program_id

    async def exchange(conn: AsyncConnection) -> int:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, program_id, now)
        terms = plan.terms.assets.get(asset)
        rate = terms.exchanges.get(into) if terms else None
        if rate is None:
            raise failed_precondition("NOT_EXCHANGEABLE", f"{asset!r} cannot be turned into {into!r}", "into")
        into_minor = amount_minor * rate.numerator // rate.denominator
        if not 0 < into_minor <= MAX_AMOUNT_MINOR:
            told = f"{amount_minor} minor units of {asset} are {into_minor} of {into}"
            if into_minor == 0:
                raise failed_precondition("ROUNDS_TO_ZERO", told, "amount_minor")
            raise failed_precondition("AMOUNT_TOO_LARGE", told, "amount_minor")
        kind, cause_id = TransferKind.EXCHANGE, f"exchange:{program_id}/{call.request_id}"
        given = WalletTransfer(
            program_id, kind, participant_id, AccountKind.AVAILABLE, AccountKind.EXCHANGE, asset, amount_minor, cause_id
        )
        received = WalletTransfer(
            program_id, kind, participant_id, AccountKind.EXCHANGE, AccountKind.AVAILABLE, into, into_minor, cause_id
        )
        await withdraw(conn, given, now, [received])
        return into_minor

    is_another = already_exists("EXCHANGE_EXISTS", f"{call.request_id!r} is another exchange", "exchange_id")
    return await _once(deps, call, participant_id, TransferKind.EXCHANGE, exchange, is_another)


async def give_asset(
    deps: Deps, call: Call[None, Answer], participant_id: str, recipient_id: str, asset: str, amount_minor: int
) -> Answer:
    """Passes something on to another participant."""
    program_id = call.program_id
    if recipient_id == participant_id:
        raise invalid("recipient_id", "is the giver")

    async def give(conn: AsyncConnection) -> None:
        now = deps.clock.now()
        plan = await plan_in_force(deps, conn, program_id, now)
        terms = plan.terms.assets.get(asset)
        if terms is None or not terms.transferable:
            raise failed_precondition("NOT_TRANSFERABLE", f"{asset!r} cannot be passed on", "asset")
        gift = WalletTransfer(
            program_id, TransferKind.GIFT, participant_id, AccountKind.AVAILABLE, AccountKind.AVAILABLE, asset,
            amount_minor, f"gift:{program_id}/{call.request_id}", recipient_id,
        )  # fmt: skip
        await withdraw(conn, gift, now)

    is_another = already_exists("GIFT_EXISTS", f"{call.request_id!r} is another gift", "gift_id")
    return await _once(deps, call, participant_id, TransferKind.GIFT, give, is_another)


async def _once(
    deps: Deps,
    call: Call[Value, Answer],
    participant_id: str,
    kind: TransferKind,
    carry_out: Callable[[AsyncConnection], Awaitable[Value]],
    is_another: UplineError,
) -> Answer:
    """Carries a call out once behind the wallet's lock; the same again gets the first answer, and another call under
    the same id that error."""
    async with deps.database.transaction() as conn:
        await wallets.lock(conn, [wallets.wallet_lock(call.program_id, participant_id)])
        earlier = await redemptions.load_operation(conn, call.program_id, kind, call.request_id)
        if earlier is not None:
            if earlier.body_hash != call.digest:
                raise is_another
            return call.from_bytes(earlier.response)
        answer = call.encode(await carry_out(conn))
        operation = Operation(
            call.program_id, kind, call.request_id, call.digest, call.to_bytes(answer), deps.clock.now()
        )
        if not await redemptions.insert_operation(conn, operation):  # a call for another wallet was quicker
            raise is_another
    return answer
