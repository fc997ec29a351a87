"""The most that one conversion can cost, before caps and budgets."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from services.rewards.domain.details import MAX_LINES
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.audience import Who
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.tiers import TierMode

Seat = tuple[Who, int]


@dataclass
class Cost:
    """What is paid at most: parts of the order and the margin, and fixed amounts by asset."""

    order_percent: Fraction = Fraction(0)
    margin_percent: Fraction = Fraction(0)
    fixed_minor: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Cost", times: Fraction = Fraction(1)) -> None:
        """Adds so many times another cost; fixed amounts are rounded up."""
        self.order_percent += other.order_percent * times
        self.margin_percent += other.margin_percent * times
        for asset, minor in other.fixed_minor.items():
            self.fixed_minor[asset] = self.fixed_minor.get(asset, 0) - (-minor * times).__floor__()


def worst_cases(plan: Plan) -> dict[str, Cost]:
    """By event type: every level is there, every condition true, every tier reached."""
    types = sorted({each for rule in plan.rules for each in rule.event_types})
    return {event_type: _worst_case(plan.hear(event_type).rules) for event_type in types}


def _worst_case(rules: Iterable[Rule]) -> Cost:
    """Of a group, each seat costs what its dearest member costs there."""
    listening = list(rules)
    direct = {rule.rule_id: _by_seat(rule) for rule in listening if rule.base is not Base.EARNINGS}
    groups: dict[str, dict[Seat, list[Cost]]] = defaultdict(lambda: defaultdict(list))
    total = Cost()
    for rule in listening:
        if rule.base is Base.EARNINGS:
            percents = sum((_percent(rule, index) for index in range(len(rule.levels))), Fraction()) / 100
            for each in (cost for source in rule.earnings_of for cost in direct.get(source, {}).values()):
                total.add(each, percents)
            continue
        for seat, cost in direct[rule.rule_id].items():
            groups[rule.group or f"\0{rule.rule_id}"][seat].append(cost)
    for members in groups.values():
        for costs in members.values():
            total.add(_dearest(costs))
    return total


def _by_seat(rule: Rule) -> dict[Seat, Cost]:
    return {(rule.to.who, level.level): _of_level(rule, index) for index, level in enumerate(rule.levels)}


def _of_level(rule: Rule, index: int) -> Cost:
    level = rule.levels[index]
    if rule.table is not None:
        rows = [*rule.table.rows.values(), *([rule.table.otherwise] if rule.table.otherwise else [])]
        factor = _most(rule, index, lambda each: Fraction(each.numerator, each.denominator))
        percent = max((row.percent for row in rows if row.percent is not None), default=Fraction(0))
        fixed = max((row.share for row in rows if row.percent is None), default=Fraction(0)) * factor * MAX_LINES
        return Cost(percent * factor, fixed_minor={rule.asset.code: -(-fixed).__floor__()} if fixed else {})
    if level.percent is None:
        fixed = _most(rule, index, lambda each: Fraction(each.numerator, each.denominator))
        if rule.tiers is not None and rule.tiers.mode is TierMode.BONUS:
            fixed = Fraction(sum(tier.levels[index].numerator for tier in rule.tiers.tiers))
        return Cost(fixed_minor={rule.asset.code: -(-fixed).__floor__()})
    percent = _percent(rule, index)
    return Cost(margin_percent=percent) if rule.base is Base.MARGIN else Cost(order_percent=percent)


def _percent(rule: Rule, index: int) -> Fraction:
    return _most(rule, index, lambda each: each.percent or Fraction(0))


def _most(rule: Rule, index: int, of: Callable[[LevelAmount], Fraction]) -> Fraction:
    """The largest amount of a level at any tier."""
    tiers = rule.tiers.tiers if rule.tiers is not None else ()
    return max(of(each) for each in (rule.levels[index], *(tier.levels[index] for tier in tiers)))


def _dearest(costs: list[Cost]) -> Cost:
    """An upper bound where amounts are of different kinds: the largest of each."""
    fixed: dict[str, int] = {}
    for each in costs:
        for asset, minor in each.fixed_minor.items():
            fixed[asset] = max(fixed.get(asset, 0), minor)
    return Cost(max(each.order_percent for each in costs), max(each.margin_percent for each in costs), fixed)
