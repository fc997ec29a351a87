"""The most that one conversion can cost, before caps and budgets."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from services.rewards.domain.check.worlds import RuleLevel, possible
from services.rewards.domain.details import MAX_LINES
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.tiers import TierMode


@dataclass
class Cost:
    """The most that is paid: parts of the order and the margin, and fixed amounts by asset."""

    order_percent: Fraction = Fraction(0)
    margin_percent: Fraction = Fraction(0)
    fixed_minor: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Cost") -> None:
        """Adds another cost."""
        self.order_percent += other.order_percent
        self.margin_percent += other.margin_percent
        for asset, minor in other.fixed_minor.items():
            self.fixed_minor[asset] = self.fixed_minor.get(asset, 0) + minor


def worst_cases(plan: Plan) -> dict[str, Cost]:
    """The cost of each event type: every level is there, every tier is reached, and every condition is true that can be
    beside the others."""
    types = sorted({each for rule in plan.rules for each in rule.event_types})
    return {event_type: _worst_case(plan, event_type) for event_type in types}


def units_of(rules: Iterable[Rule]) -> list[RuleLevel]:
    """The units of rules, each of which is paid or not by itself."""
    return [
        RuleLevel(rule, index)
        for rule in rules
        for index in range(1 if rule.base is Base.EARNINGS else len(rule.levels))
    ]


def _worst_case(plan: Plan, event_type: str) -> Cost:
    units = units_of(plan.event_rules(event_type).rules)
    total = Cost()
    for sets in possible(plan, event_type, units, _bound(units)):
        total.add(_dearest([_cost([units[position] for position in sorted(each)]) for each in sets]))
    return total


def _bound(units: list[RuleLevel]) -> Iterator[list[int]]:
    """The positions of units whose costs are no mere sum: those of one group for one person, and those that earn with
    those who get a part of it."""
    by_group: dict[tuple[str, object], list[int]] = {}
    for position, unit in enumerate(units):
        if unit.rule.base is Base.EARNINGS:
            sources = [index for index, each in enumerate(units) if each.rule.rule_id in unit.rule.earnings_of]
            yield [position, *sources]
        elif unit.rule.group:
            by_group.setdefault((unit.rule.group, unit.person), []).append(position)
    yield from by_group.values()


def _cost(paid: list[RuleLevel]) -> Cost:
    """The cost of units that are paid together. Of a group, each person costs what its dearest member pays them."""
    total = Cost()
    people: dict[tuple[str, object], list[Cost]] = {}
    for unit in paid:
        rule = unit.rule
        if rule.base is not Base.EARNINGS:
            people.setdefault((rule.group or f"\0{rule.rule_id}", unit.person), []).append(_of_level(rule, unit.number))
            continue
        percents = sum((_percent(rule, index) for index in range(len(rule.levels))), Fraction()) / 100
        for source in paid:
            if source.rule.rule_id in rule.earnings_of and source.rule.base is not Base.EARNINGS:
                total.add(_part_of(_of_level(source.rule, source.number), percents, rule, source.rule))
    for costs in people.values():
        total.add(_dearest(costs))
    return total


def _part_of(cost: Cost, part: Fraction, rule: Rule, source: Rule) -> Cost:
    """The cost of a rule that pays so much of what another pays: in its own asset, of which whole units are paid."""
    minor = sum(cost.fixed_minor.values()) * part * rule.minor_per_minor_of(source)
    fixed = {rule.asset.code: -(-minor).__floor__()} if minor else {}
    return Cost(cost.order_percent * part, cost.margin_percent * part, fixed)


def _of_level(rule: Rule, index: int) -> Cost:
    level = rule.levels[index]
    if rule.table is not None:
        rows = [*rule.table.rows.values(), *([rule.table.otherwise] if rule.table.otherwise else [])]
        factor = _most(rule, index, lambda each: Fraction(each.numerator, each.denominator))
        percent = max((row.percent for row in rows if row.percent is not None), default=Fraction(0))
        fixed = max((row.share for row in rows if row.percent is None), default=Fraction(0)) * factor * MAX_LINES
        return Cost(percent * factor, fixed_minor={rule.asset.code: -(-fixed).__floor__()} if fixed else {})
    if rule.part is not None and level.percent is None:
        parts = rule.part.allotment.divided(rule.part.allotment.whole.numerator)
        return Cost(fixed_minor={rule.asset.code: parts[rule.part.numbers[index]]})
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
