"""The buyer's part of a reward: a split, never more money."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class RewardShare:
    """The part of a reward that goes to the buyer, in percent."""

    default_percent: Fraction
    """The percentage where nothing was chosen; for a share that nobody chooses, always."""
    min_percent: Fraction
    max_percent: Fraction
    is_chosen: bool

    def percent(self, chosen: str) -> Fraction:
        """The percentage for a referrer's choice (an exact decimal, empty for none), within the bounds."""
        if not self.is_chosen or not chosen:
            return self.default_percent
        return min(max(Fraction(chosen), self.min_percent), self.max_percent)


def split(amount_minor: int, percent: Fraction) -> tuple[int, int]:
    """(the part that stays, the part for the buyer): whole minor units that sum to the amount.

    The unit that does not divide goes to the part with the larger remainder, to the one that stays if they are equal.
    """
    exact = amount_minor * percent / 100
    buyer_minor = exact.numerator // exact.denominator
    if 2 * (exact - buyer_minor) > 1:
        buyer_minor += 1
    return amount_minor - buyer_minor, buyer_minor
