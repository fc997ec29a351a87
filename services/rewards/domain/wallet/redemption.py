"""Redemptions: value that was earned pays a part of an order; authorized, captured or voided, refunded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from fractions import Fraction

from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.plan.terms import BY_THE_PIECE, AssetTerms
from services.rewards.domain.wallet.wallet import PreconditionError, WalletTransfer


@dataclass(frozen=True, slots=True)
class RequestedRedemption:
    """A redemption as a caller asks for it; the currency of the order need not be the program's."""

    program_id: str
    redemption_id: str
    participant_id: str
    asset: str
    amount_minor: int
    order_id: str
    order_minor: int
    order_currency_code: str


class RedemptionState(IntEnum):
    """The states of a redemption. The numbers are stored: never reuse one."""

    AUTHORIZED = 1
    CAPTURED = 2
    VOIDED = 3


@dataclass(frozen=True, slots=True)
class Redemption:
    """One redemption. Amounts are in the asset's minor units; the order's and the worth in the program's currency."""

    program_id: str
    redemption_id: str
    participant_id: str
    asset: str
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    state: RedemptionState
    order_id: str
    order_minor: int
    worth_minor: int
    create_time: datetime

    @property
    def outstanding_minor(self) -> int:
        """The amount of it that pays for the order."""
        if self.state is RedemptionState.AUTHORIZED:
            return self.authorized_minor
        return self.captured_minor - self.refunded_minor

    @property
    def cause_id(self) -> str:
        """The cause that its transfers name."""
        return f"redemption:{self.program_id}/{self.redemption_id}"


def worth_of(
    asset: AssetTerms,
    amount_minor: int,
    order_minor: int,
    others: Iterable[Redemption],
    terms: Mapping[str, AssetTerms],
) -> int:
    """The amount that a redemption takes off an order beside `others` of the same order, rounded down.

    Raises PreconditionError for an asset that pays no orders, or not so much of one: its redemptions together are held
    against its own share, and all redemptions together against the whole. Both are compared exactly.
    """
    if not asset.is_spendable:
        raise PreconditionError("NOT_SPENDABLE", f"{asset.code} does not pay for orders")
    exact = asset.worth(amount_minor, order_minor)
    same = whole = Fraction(0)
    for each in others:
        paid = _worth_left(each, terms.get(each.asset))
        whole += paid
        same += paid if each.asset == asset.code else 0
    if asset.kind in BY_THE_PIECE:
        worth = min(exact, order_minor - whole)
        if exact > 0 >= worth:
            raise PreconditionError("ABOVE_SPENDING_LIMIT", "nothing is left of the order to pay for")
        return int(worth)
    share = asset.max_percent_of_order or Fraction(0)
    if (same + exact) * 100 > share * order_minor:
        raise PreconditionError(
            "ABOVE_SPENDING_LIMIT",
            f"{asset.code} may pay {float(share):g} % of an order of {order_minor} minor units, with what it pays"
            " already",
        )
    if whole + exact > order_minor:
        raise PreconditionError(
            "ABOVE_SPENDING_LIMIT", f"more than the order of {order_minor} minor units would be paid"
        )
    return int(exact)


def _worth_left(redemption: Redemption, terms: AssetTerms | None) -> Fraction:
    if terms is not None and terms.kind not in BY_THE_PIECE:
        return terms.worth(redemption.outstanding_minor, redemption.order_minor)
    return Fraction(redemption.worth_minor * redemption.outstanding_minor, redemption.authorized_minor)


def authorization(redemption: Redemption) -> WalletTransfer:
    """Sets the amount aside."""
    return _move(
        redemption, TransferKind.AUTHORIZATION, AccountKind.AVAILABLE, AccountKind.RESERVED, redemption.authorized_minor
    )


def capture(redemption: Redemption, asked_minor: int | None) -> tuple[Redemption, list[WalletTransfer]]:
    """Spends `asked_minor` of what is set aside (None: all), the rest becomes available again. The same again changes
    nothing."""
    amount_minor = redemption.authorized_minor if asked_minor is None else asked_minor
    if redemption.state is RedemptionState.CAPTURED and redemption.captured_minor == amount_minor:
        return redemption, []
    if redemption.state is not RedemptionState.AUTHORIZED:
        was = f"was {redemption.state.name.lower()}" + (
            f" with {redemption.captured_minor}" if redemption.captured_minor else ""
        )
        raise PreconditionError("REDEMPTION_NOT_AUTHORIZED", f"redemption {redemption.redemption_id!r} {was}")
    if amount_minor > redemption.authorized_minor:
        raise PreconditionError(
            "ABOVE_AUTHORIZATION", f"{redemption.authorized_minor} are set aside, {amount_minor} are to be captured"
        )
    moves = [_move(redemption, TransferKind.CAPTURE, AccountKind.RESERVED, AccountKind.REDEEMED, amount_minor)]
    if rest := redemption.authorized_minor - amount_minor:
        moves.append(_move(redemption, TransferKind.VOID, AccountKind.RESERVED, AccountKind.AVAILABLE, rest))
    return replace(redemption, state=RedemptionState.CAPTURED, captured_minor=amount_minor), moves


def void(redemption: Redemption) -> tuple[Redemption, list[WalletTransfer]]:
    """Gives back what is set aside. The same again changes nothing."""
    if redemption.state is RedemptionState.VOIDED:
        return redemption, []
    if redemption.state is not RedemptionState.AUTHORIZED:
        raise PreconditionError(
            "REDEMPTION_CAPTURED", f"redemption {redemption.redemption_id!r} was captured; it can be refunded"
        )
    moves = [
        _move(redemption, TransferKind.VOID, AccountKind.RESERVED, AccountKind.AVAILABLE, redemption.authorized_minor)
    ]
    return replace(redemption, state=RedemptionState.VOIDED), moves


def refund(redemption: Redemption, asked_minor: int | None) -> tuple[Redemption, list[WalletTransfer]]:
    """Gives back what was spent, or `asked_minor` of it (None: all that is left)."""
    if redemption.state is not RedemptionState.CAPTURED:
        raise PreconditionError("REDEMPTION_NOT_CAPTURED", f"redemption {redemption.redemption_id!r} was not captured")
    left = redemption.captured_minor - redemption.refunded_minor
    amount_minor = left if asked_minor is None else asked_minor
    if not 0 < amount_minor <= left:
        raise PreconditionError(
            "ABOVE_CAPTURE", f"{left} of redemption {redemption.redemption_id!r} are left to refund"
        )
    moves = [
        _move(redemption, TransferKind.REDEMPTION_REFUND, AccountKind.REDEEMED, AccountKind.AVAILABLE, amount_minor)
    ]
    return replace(redemption, refunded_minor=redemption.refunded_minor + amount_minor), moves


def _move(
    redemption: Redemption, kind: TransferKind, debit: AccountKind, credit: AccountKind, amount_minor: int
) -> WalletTransfer:
    return WalletTransfer(
        redemption.program_id,
        kind,
        redemption.participant_id,
        debit,
        credit,
        redemption.asset,
        amount_minor,
        redemption.cause_id,
    )
