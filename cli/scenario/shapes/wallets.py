"""Steps in which people spend what they earned."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from cli.scenario.shapes.marks import REDEMPTION, Amount, Asset, InAssetOf, Money, NewName, Person, Redemption


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """Something earned is set aside to pay for a part of an order."""

    id: Annotated[str, NewName(REDEMPTION)]
    by: Person
    asset: Asset
    amount: Amount
    order: str
    """The order's name; it need not have happened yet."""
    of: Money
    """The amount of the order that is paid in part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """An amount that was set aside is spent, all of it or a part."""

    redemption: Redemption
    amount: Annotated[Decimal, InAssetOf("redemption")] | None = None

    SHORT: ClassVar[str] = "redemption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """An amount that was set aside is given back."""

    redemption: Redemption

    SHORT: ClassVar[str] = "redemption"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """An amount that was spent is given back, because the order was refunded: all that is left, or a part."""

    redemption: Redemption
    amount: Annotated[Decimal, InAssetOf("redemption")] | None = None

    SHORT: ClassVar[str] = "redemption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Buy:
    """Something is bought from the plan's catalogue."""

    by: Person
    sku: str
    quantity: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One asset is turned into another."""

    by: Person
    asset: Asset
    amount: Amount
    into: Asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """A person passes something on to another."""

    by: Person
    to: Person
    asset: Asset
    amount: Amount
