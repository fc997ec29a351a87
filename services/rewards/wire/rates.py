"""Percentages and fixed amounts of one owner in a plan: checked, and in the minor units of their asset."""

from fractions import Fraction

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.asset import Asset, AssetKind
from services.rewards.domain.plan.plan import MAX_ASSET_MINOR_PER_BASE_MINOR
from services.rewards.wire.plan_context import PlanContext

MAX_PERCENT = 1_000
MAX_EARNINGS_PERCENT = 100
BASES = {
    plan_pb2.AMOUNT_BASE_UNSPECIFIED: Base.ORDER,
    plan_pb2.AMOUNT_BASE_ORDER: Base.ORDER,
    plan_pb2.AMOUNT_BASE_MARGIN: Base.MARGIN,
    plan_pb2.AMOUNT_BASE_LINES: Base.LINES,
    plan_pb2.AMOUNT_BASE_EARNINGS: Base.EARNINGS,
}


class Rates:
    """Reads the amounts of a rule or an allotment."""

    def __init__(self, plan: PlanContext, owner: str, path: str, asset: Asset) -> None:
        self._plan = plan
        self._owner = owner
        self._path = path
        self._asset = asset
        self.base = Base.ORDER

    def percent(self, text: str, field: str, *, or_none: bool = False) -> Fraction:
        """An exact percentage of more than 0 (0 too, with `or_none`)."""
        value = Fraction(text)
        limit = MAX_EARNINGS_PERCENT if self.base is Base.EARNINGS else MAX_PERCENT
        bounds = f"must be {'0' if or_none else 'more than 0'} and at most {limit}; it is {text}"
        if not (value or or_none):
            self._wrong(field, bounds)
        elif value > limit:
            self._forbid(field, bounds)
        return value

    def percentage(self, level: int, percent: Fraction, field: str) -> LevelAmount:
        """A level's share of the base."""
        share = percent / 100 * self._scale(field)
        if share > MAX_ASSET_MINOR_PER_BASE_MINOR:
            self._forbid(
                field,
                f"pays {float(share):g} minor units for each one of the base; at most {MAX_ASSET_MINOR_PER_BASE_MINOR}",
            )
        return LevelAmount(level, share.numerator, share.denominator, percent)

    def fixed(self, level: int, amount_minor: Fraction | int, field: str) -> LevelAmount:
        """A level's fixed amount."""
        if amount_minor > MAX_AMOUNT_MINOR:
            self._forbid(field, f"is {float(amount_minor):g} minor units at level {level}; at most {MAX_AMOUNT_MINOR}")
        exact = Fraction(amount_minor)
        return LevelAmount(level, exact.numerator, exact.denominator, None)

    def _wrong(self, field: str, description: str) -> None:
        self._plan.problems.wrong(f"{self._path}.{field}", f"{self._owner}: {description}")

    def _forbid(self, field: str, description: str) -> None:
        self._plan.problems.forbid(f"{self._path}.{field}", f"{self._owner}: {description}")

    def _scale(self, field: str) -> Fraction:
        """The asset's minor units for one minor unit of the base."""
        if self.base is Base.EARNINGS:  # each reward that is part of it has a rate of its own
            return Fraction(1)
        rate = self._plan.rate(self._asset)
        if rate is not None:
            return rate
        if self._asset.kind is AssetKind.MONEY:
            why = "nothing converts currencies"
        else:
            why = f"one {self._asset.kind.value} has no worth in it"
        self._wrong(field, f"a percentage of {self._plan.currency_code} cannot be paid in {self._asset.code}: {why}")
        return Fraction(0)
