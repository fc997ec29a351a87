"""Terms of what was earned: spending, exchange, gifts, the catalogue, payouts. Amounts in the assets' minor units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from services.rewards.domain.plan.asset import AssetKind
from services.rewards.domain.plan.condition import Condition

BY_THE_PIECE = frozenset({AssetKind.COUPON, AssetKind.GIFT, AssetKind.SERVICE_DAYS})
"""The kinds that are counted in whole pieces and handed out as such: no part of an order is reserved for them."""


@dataclass(frozen=True, slots=True)
class Coupon:
    """The amount that one coupon takes off an order: a percentage or a fixed one."""

    percent: Fraction | None
    amount_minor: int
    """Minor units of the program's currency; 0 where it is a percentage."""


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """The terms of one asset."""

    code: str
    kind: AssetKind
    minor_per_currency_minor: Fraction
    """Minor units of the asset for one minor unit of the program's currency."""
    max_percent_of_order: Fraction | None = None
    """The largest part of an order that it may pay; None where it pays none."""
    coupon: Coupon | None = None
    expires_after: timedelta | None = None
    exchanges: Mapping[str, Fraction] = field(default_factory=dict)
    """Minor units of another asset for one minor unit of this one."""
    withdrawable: bool = False
    transferable: bool = False

    @property
    def is_spendable(self) -> bool:
        """Whether the asset can be redeemed."""
        return self.max_percent_of_order is not None or self.kind in BY_THE_PIECE

    def worth(self, amount_minor: int, order_minor: int) -> Fraction:
        """The exact worth of an amount on an order, in minor units of the program's currency."""
        if self.coupon is not None:
            if self.coupon.percent is not None:
                return amount_minor * self.coupon.percent / 100 * order_minor
            return Fraction(amount_minor * self.coupon.amount_minor)
        return Fraction(0) if self.kind in BY_THE_PIECE else amount_minor / self.minor_per_currency_minor


@dataclass(frozen=True, slots=True)
class PayoutMethod:
    """One way to be paid, and what it costs."""

    method: str
    fee_minor: int
    fee_percent: Fraction

    def fee(self, amount_minor: int) -> int:
        """The fee of a payout: the percentage is rounded up."""
        share = self.fee_percent * amount_minor / 100
        return self.fee_minor - (-share.numerator // share.denominator)


@dataclass(frozen=True, slots=True)
class PayoutTerms:
    """The terms on which one asset leaves by payouts."""

    asset: str
    methods: Mapping[str, PayoutMethod]
    min_amount_minor: int
    gate: Condition | None
    """The condition on the participant's counters and the amount; None for no condition."""
    approval: bool


@dataclass(frozen=True, slots=True)
class Item:
    """Something that the catalogue sells."""

    sku: str
    asset: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one version of a plan."""

    assets: Mapping[str, AssetTerms] = field(default_factory=dict)
    payouts: Mapping[str, PayoutTerms] = field(default_factory=dict)
    """The terms of payouts by asset."""
    catalogue: Mapping[str, Item] = field(default_factory=dict)
    """The items of the catalogue by sku."""


NO_TERMS = Terms()
