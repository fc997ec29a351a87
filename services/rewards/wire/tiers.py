"""Tiers of one rule: from the contract to the amount of each level at each tier."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.counters import Measure
from services.rewards.domain.plan.tiers import Tier, TierMode, Tiers
from services.rewards.wire.amounts import AmountReader
from services.rewards.wire.plan_context import PlanContext

MAX_FACTOR = 1_000
_MODES = {
    plan_pb2.TIER_MODE_NEXT: TierMode.NEXT,
    plan_pb2.TIER_MODE_MARGINAL: TierMode.MARGINAL,
    plan_pb2.TIER_MODE_BONUS: TierMode.BONUS,
}
_PERCENTAGES = frozenset({"percent", "per_level", "geometric"})
_OLD_NAME = "from"
"""The older name of a tier's `bound`: a word of Python, so the field can only be asked for by its name as a text."""


def under_old_name(plan: plan_pb2.Plan) -> None:
    """States the bounds of a plan under the name that every version of this service reads, as a plan is stored. Its two
    names must not contradict each other."""
    for tier in _tiers_of(plan):
        setattr(tier, _OLD_NAME, _bound(tier))
        tier.ClearField("bound")


def under_both_names(plan: plan_pb2.Plan) -> None:
    """States the bounds of a stored plan under both names, for callers that know either."""
    for tier in _tiers_of(plan):
        tier.bound = _bound(tier)


def _tiers_of(plan: plan_pb2.Plan) -> Iterable[plan_pb2.Tier]:
    return (tier for rule in plan.rules for tier in rule.tiers.tiers)


def _bound(tier: plan_pb2.Tier) -> int:
    stated: int = tier.bound or getattr(tier, _OLD_NAME)
    return stated


class TierReader:
    """Reads the tiers of one rule whose amounts were read."""

    def __init__(
        self, plan: PlanContext, rule: plan_pb2.Rule, path: str, amounts: AmountReader, levels: Sequence[LevelAmount]
    ) -> None:
        self._plan = plan
        self._rule = rule
        self._path = path
        self._amounts = amounts
        self._levels = levels

    def read(self) -> Tiers | None:
        """The tiers; None where the rule has none."""
        if not self._rule.HasField("tiers"):
            return None
        if self._amounts.how == "allot":
            self._wrong(
                "tiers",
                "are not for `allot`, whose parts must come to the whole whatever a counter says: leave them out",
            )
            return None
        message = self._rule.tiers
        mode = _MODES[message.mode]
        counter = self._plan.counter(message.counter, f"{self._path}.tiers.counter", f"rule {self._rule.rule_id!r}")
        if mode is TierMode.MARGINAL:
            if counter is not None and counter.measure is not Measure.VOLUME:
                self._wrong("tiers.counter", f"MARGINAL splits an amount: {message.counter!r} must measure VOLUME")
            self._require_percentages()
        tiers: list[Tier] = []
        for index, each in enumerate(message.tiers):
            self._check_bound(each, tiers[-1].bound if tiers else 0, f"tiers.tiers[{index}]")
            levels = tuple(self._level(level, each, mode, f"tiers.tiers[{index}]") for level in self._levels)
            tiers.append(Tier(_bound(each), levels))
        # One conversion may cross every bound, and the bonuses are one reward then.
        if mode is TierMode.BONUS and (together := sum(each.amount_minor for each in message.tiers)) > MAX_AMOUNT_MINOR:
            self._forbid("tiers.tiers", f"come to {together:g} minor units together; at most {MAX_AMOUNT_MINOR}")
        return Tiers(message.counter, mode, tuple(tiers))

    def _wrong(self, field: str, description: str) -> None:
        self._plan.problems.wrong(f"{self._path}.{field}", f"rule {self._rule.rule_id!r}: {description}")

    def _forbid(self, field: str, description: str) -> None:
        self._plan.problems.forbid(f"{self._path}.{field}", f"rule {self._rule.rule_id!r}: {description}")

    def _check_bound(self, tier: plan_pb2.Tier, before: int, field: str) -> None:
        old, bound = getattr(tier, _OLD_NAME), tier.bound
        name = "bound" if bound and not old else _OLD_NAME
        if not (old or bound):
            self._wrong(
                f"{field}.{name}", "must be given: the counter's value from which on the tier holds, more than 0"
            )
        elif old and bound and old != bound:
            self._wrong(
                f"{field}.bound", f"is {bound}, and `{_OLD_NAME}`, which means the same, is {old}: give one of them"
            )
        elif _bound(tier) <= before:
            self._wrong(f"{field}.{name}", f"is {_bound(tier)}; it must be above that of the tier before, {before}")

    def _require_percentages(self) -> None:
        fixed = any(level.percent is None for level in self._levels)
        if self._rule.HasField("amount") and (self._amounts.how not in _PERCENTAGES or fixed):
            self._wrong("tiers.mode", "MARGINAL splits an amount: the rule must pay a percentage")
        if self._amounts.base is Base.EARNINGS:
            self._wrong("tiers.mode", "MARGINAL splits the conversion's amount, not EARNINGS")

    def _level(self, level: LevelAmount, tier: plan_pb2.Tier, mode: TierMode, field: str) -> LevelAmount:
        pays = tier.WhichOneof("pays") or ""
        if mode is TierMode.BONUS and pays != "amount_minor":
            self._wrong(f"{field}.{pays}", "BONUS pays an amount_minor")
            return level
        if pays == "factor":
            factor = Fraction(tier.factor)
            if not factor:
                self._wrong(f"{field}.factor", "must be more than 0")
            if factor > MAX_FACTOR:
                self._forbid(f"{field}.factor", f"must be at most {MAX_FACTOR}")
            return self._amounts.scaled(level, factor, f"{field}.factor")
        if pays == "percent":
            if self._amounts.how != "percent":
                self._wrong(f"{field}.percent", "is in place of a rule's percent; take `factor` for other amounts")
                return level
            percent = self._amounts.percent(tier.percent, f"{field}.percent")
            return self._amounts.percentage(level.level, percent, f"{field}.percent")
        if mode is not TierMode.BONUS and self._amounts.how != "fixed":
            self._wrong(
                f"{field}.amount_minor", "is in place of a rule's fixed amount; take `factor` for other amounts"
            )
        return self._amounts.fixed(level.level, tier.amount_minor, f"{field}.amount_minor")
