"""Assets: kinds of value in which rewards are paid."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction


class AssetKind(Enum):
    """The kind of value that an asset is."""

    MONEY = "money"
    POINTS = "points"
    CREDIT = "credit"
    COUPON = "coupon"
    GIFT = "gift"
    SERVICE_DAYS = "service_days"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset of a plan."""

    code: str
    kind: AssetKind
    digits: int
    """Decimal places of the minor unit."""
    per_currency_unit: Fraction
    """Whole units of the asset for one whole unit of the program's currency; 1 for money."""

    def minor_per_currency_minor(self, currency_digits: int) -> Fraction:
        """Minor units of the asset for one minor unit of the program's currency."""
        return self.per_currency_unit * Fraction(10) ** (self.digits - currency_digits)
