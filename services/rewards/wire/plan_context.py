"""The context in which the parts of a plan are read: its currency, assets and counters, and the list of mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from google.protobuf.duration_pb2 import Duration
from upline.rewards.v1 import plan_pb2

from chassis.times import to_timedelta
from services.rewards.domain.plan.asset import Asset, AssetKind
from services.rewards.domain.plan.condition import Condition
from services.rewards.domain.plan.counters import Counter
from services.rewards.domain.plan.limits import Overflow
from services.rewards.domain.plan.periods import Period
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.problems import Problems
from services.rewards.wire.variables import Scope

PERIODS = {
    plan_pb2.PERIOD_UNSPECIFIED: Period.LIFETIME,
    plan_pb2.PERIOD_LIFETIME: Period.LIFETIME,
    plan_pb2.PERIOD_DAY: Period.DAY,
    plan_pb2.PERIOD_WEEK: Period.WEEK,
    plan_pb2.PERIOD_MONTH: Period.MONTH,
    plan_pb2.PERIOD_QUARTER: Period.QUARTER,
    plan_pb2.PERIOD_YEAR: Period.YEAR,
}
OVERFLOWS = {
    plan_pb2.OVERFLOW_UNSPECIFIED: Overflow.CLAMP,
    plan_pb2.OVERFLOW_CLAMP: Overflow.CLAMP,
    plan_pb2.OVERFLOW_DROP: Overflow.DROP,
}


STANDS_IN = Asset("", AssetKind.POINTS, 0, Fraction(1))
"""The asset in place of one that the plan does not have, so that other mistakes are found too."""


@dataclass(frozen=True, slots=True)
class PlanContext:
    """One plan while it is read."""

    currency_code: str
    currency_digits: int
    assets: Mapping[str, Asset]
    compiler: Compiler
    problems: Problems
    counters: Mapping[str, Counter]

    def asset(self, code: str, path: str, owner: str) -> Asset | None:
        """The asset of the plan with a code; None, and a mistake, if there is none."""
        asset = self.assets.get(code)
        if asset is None:
            codes = ", ".join(self.assets) or "none"
            self.problems.wrong(path, f"{owner} pays in {code!r}; the plan's assets: {codes}")
        return asset

    def condition(self, text: str, scope: Scope, path: str, owner: str) -> Condition | None:
        """A compiled condition; None for an empty text, or a wrong one."""
        return self.compiler.read(text, scope, path, owner, self.problems)

    def counter(self, counter_id: str, path: str, owner: str) -> Counter | None:
        """The counter of the plan with an id; None, and a mistake, if there is none."""
        counter = self.counters.get(counter_id)
        if counter is None:
            counter_ids = ", ".join(self.counters) or "none"
            self.problems.wrong(path, f"{owner} names {counter_id!r}; the plan's counters: {counter_ids}")
        return counter

    def span(self, message: Duration, path: str, max_days: int, *, or_none: bool = False) -> timedelta | None:
        """A duration above zero, or zero with `or_none`; None, and a mistake, where it is not one."""
        try:
            span = to_timedelta(message)
        except ValueError as error:
            self.problems.wrong(path, str(error))
            return None
        bounds = f"must be {'0' if or_none else 'more than 0'} and at most {max_days} days"
        if span < timedelta() or not (span or or_none):
            self.problems.wrong(path, bounds)
            return None
        if span > timedelta(days=max_days):
            self.problems.forbid(path, bounds)
        return span

    def rate(self, asset: Asset) -> Fraction | None:
        """The asset's minor units for one minor unit of the program's currency; None where it has no worth in it."""
        is_foreign = asset.kind is AssetKind.MONEY and asset.code != self.currency_code
        if is_foreign or asset.kind in (AssetKind.COUPON, AssetKind.GIFT, AssetKind.SERVICE_DAYS):
            return None
        return asset.minor_per_currency_minor(self.currency_digits)
