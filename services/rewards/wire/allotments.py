"""Allotments: from the contract to what rules divide, with every mistake named by its field."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.plan.allotments import MAX_PARTS, Allotment
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.plan.condition import Condition
from services.rewards.wire.plan_context import STANDS_IN, PlanContext
from services.rewards.wire.rates import BASES, Rates
from services.rewards.wire.variables import Scope


class SharedAllotment(NamedTuple):
    """An allotment with all that its rules share."""

    allotment: Allotment
    asset: Asset
    base: Base
    lines: Condition | None
    parts: Mapping[tuple[int, int], int]
    """The number of each part, by its rule's place in the plan and the place of its weight in the rule."""

    def amounts(self, levels: Sequence[int], weights: Sequence[str]) -> list[LevelAmount]:
        """The exact amounts of a rule's levels, also where they are nothing."""
        whole, total = self.allotment.whole, sum(self.allotment.weights) or Fraction(1)
        amounts = []
        for level, text in zip(levels, weights, strict=False):
            part = Fraction(text) / total
            share = Fraction(whole.numerator, whole.denominator) * part
            percent = None if whole.percent is None else whole.percent * part
            amounts.append(LevelAmount(level, share.numerator, share.denominator, percent))
        return amounts


Sharing = list[tuple[int, plan_pb2.Rule]]
"""Rules that divide one allotment, with their places in the plan."""


def read_allotments(plan: PlanContext, message: plan_pb2.Plan) -> dict[str, SharedAllotment]:
    """A plan's allotments by id; they are of use only if no mistake was noted."""
    by_allotment: dict[str, Sharing] = {each.allotment_id: [] for each in message.allotments}
    for ordinal, rule in enumerate(message.rules):
        if rule.amount.WhichOneof("how") == "allot":
            by_allotment.setdefault(rule.amount.allot.allotment, []).append((ordinal, rule))
    allotments: dict[str, SharedAllotment] = {}
    for index, each in enumerate(message.allotments):
        path, owner = f"plan.allotments[{index}]", f"allotment {each.allotment_id!r}"
        if each.allotment_id in allotments:
            plan.problems.forbid(f"{path}.allotment_id", f"{each.allotment_id!r} is divided already")
        sharing = by_allotment[each.allotment_id]
        if not sharing:
            plan.problems.forbid(path, f"{owner} is divided by no rule: name it in an `amount: {{allot: …}}`")
        _check_events(plan, each.allotment_id, sharing)
        allotments[each.allotment_id] = _read(plan, each, sharing, path, owner)
    return allotments


def _read(plan: PlanContext, message: plan_pb2.Allotment, sharing: Sharing, path: str, owner: str) -> SharedAllotment:
    asset = plan.asset(message.asset, f"{path}.asset", owner) or STANDS_IN
    rates = Rates(plan, owner, path, asset)
    rates.base = BASES[message.of]
    if rates.base is Base.EARNINGS:
        plan.problems.wrong(
            f"{path}.of", f"{owner} is of ORDER, MARGIN or LINES; rules with base EARNINGS divide nothing"
        )
    if message.lines and rates.base is not Base.LINES:
        plan.problems.forbid(
            f"{path}.lines", f"{owner}: is for the base LINES only: write `of: LINES`, or leave it out"
        )
    if message.WhichOneof("whole") == "percent":
        whole = rates.percentage(0, rates.percent(message.percent, "percent"), "percent")
    else:
        if message.of:
            plan.problems.forbid(
                f"{path}.of", f"{owner}: is for a percent only, an amount_minor is of nothing: leave it out"
            )
        whole = rates.fixed(0, message.amount_minor, "amount_minor")
    parts: dict[tuple[int, int], int] = {}
    weights: list[Fraction] = []
    for ordinal, rule in sharing:
        for position, text in enumerate(rule.amount.allot.weights):
            if weight := Fraction(text):
                parts[ordinal, position] = len(weights)
                weights.append(weight)
    if len(weights) > MAX_PARTS:
        plan.problems.forbid(path, f"{owner} has {len(weights)} parts over all rules and levels; at most {MAX_PARTS}")
    lines = plan.condition(message.lines, Scope.LINE, f"{path}.lines", owner)
    return SharedAllotment(Allotment(message.allotment_id, whole, tuple(weights)), asset, rates.base, lines, parts)


def _check_events(plan: PlanContext, allotment_id: str, sharing: Sharing) -> None:
    """An event that some of the rules do not listen to would leave their parts to nobody, always."""
    for ordinal, rule in sharing[1:]:
        first = sharing[0][1]
        if set(rule.on) != set(first.on):
            plan.problems.forbid(
                f"plan.rules[{ordinal}].on",
                f"rule {rule.rule_id!r} listens to {', '.join(sorted(rule.on))}, and {first.rule_id!r}, with which it"
                f" divides {allotment_id!r}, to {', '.join(sorted(first.on))}: write the same events in both",
            )
