"""Finds parts that come to more than the whole they share because each is rounded by itself, by an amount of which they
do."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from math import lcm
from typing import Final, NamedTuple

from services.rewards.domain.check.worlds import RuleLevel, possible
from services.rewards.domain.check.worst_case import units_of
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.rounding import Rounding

MIN_WHOLE_MINOR: Final = 100
"""The smallest whole that is tried, in minor units of the asset. Of less, also parts with a good distance to the whole
may come to more than it (three times 30 % of two cents are three cents): nobody divides so little, and to warn of it
would be to warn of nearly every plan."""
MAX_TRIES: Final = 1_000
"""Wholes that are tried one after the other. Parts that come to more do so for many of these, or only where one ends
in a half: those amounts are tried besides."""
_TIES: Final = 8
"""Amounts with a half that are tried for each part: by rounding to even every other one goes up."""
_WHOLE: Final = 100
MAX_ROUNDED: Final = 100_000
"""Parts that are rounded in all, so that a plan of thousands of levels is looked at as fast as others: some hundredths
of a second."""


class Overpaid(NamedTuple):
    """Rules that can pay more together than they divide."""

    rules: tuple[Rule, ...]
    base: Base
    whole_minor: int
    """The worth of the base, in the rules' asset."""
    paid_minor: int
    """The sum that the rules pay of this whole."""


def overpaid(plan: Plan) -> Iterator[Overpaid]:
    """The rules that can pay too much, for each set that shares the whole of one base in one asset. Rules of an
    allotment share theirs exactly."""
    if plan.rounding is Rounding.DOWN:
        return
    reported: set[tuple[int, ...]] = set()
    for event_type in sorted({each for rule in plan.rules for each in rule.event_types}):
        for units in _sharing(plan, event_type):
            together = _dearest(plan, event_type, units)
            rules = tuple(dict.fromkeys(each.rule.ordinal for each in together))
            excess = None if rules in reported else _example(plan, together)
            if excess is not None:
                reported.add(rules)
                yield excess


def _sharing(plan: Plan, event_type: str) -> Iterator[list[RuleLevel]]:
    """Levels that get a percentage of the same, in the same asset."""
    alike: dict[tuple[Base, str, str], list[RuleLevel]] = {}
    for unit in units_of(plan.event_rules(event_type).rules):
        rule = unit.rule
        is_share = rule.base is not Base.EARNINGS and rule.table is None and rule.part is None
        if is_share and rule.levels[unit.number].percent is not None:
            lines = rule.lines.text if rule.lines is not None else ""
            alike.setdefault((rule.base, lines, rule.asset.code), []).append(unit)
    yield from alike.values()


def _dearest(plan: Plan, event_type: str, units: list[RuleLevel]) -> list[RuleLevel]:
    """The units that can be paid together and take the most; of a group the dearest for each person."""
    groups: dict[object, list[int]] = {}
    for position, unit in enumerate(units):
        if unit.rule.group:
            groups.setdefault((unit.rule.group, unit.person), []).append(position)
    chosen: list[RuleLevel] = []
    for sets in possible(plan, event_type, units, groups.values()):
        candidates = [_without_outbid([units[position] for position in sorted(each)]) for each in sets]
        chosen += max(candidates, key=lambda each: sum((_percent(unit) for unit in each), Fraction()))
    return chosen


def _without_outbid(units: list[RuleLevel]) -> list[RuleLevel]:
    best: dict[object, RuleLevel] = {}
    for number, unit in enumerate(units):
        key = (unit.rule.group, unit.person) if unit.rule.group else number
        if key not in best or _percent(unit) > _percent(best[key]):
            best[key] = unit
    return list(best.values())


def _percent(unit: RuleLevel) -> Fraction:
    return unit.rule.levels[unit.number].percent or Fraction()


def _example(plan: Plan, units: list[RuleLevel]) -> Overpaid | None:
    """An amount of which the rules pay more than there is; None where they state more than the whole anyhow, or where
    there is none."""
    percents = [_percent(each) for each in units]
    rest = 1 - sum(percents, Fraction()) / _WHOLE
    if len(units) < 2 or rest < 0:
        return None
    level = units[0].rule.levels[units[0].number]
    rate = Fraction(level.numerator, level.denominator) * _WHOLE / percents[0]
    # Each part is at most half a unit too large, so of larger amounts what nobody gets is more than all of these.
    most = len(units) / (2 * rest) if rest else None
    denominator = lcm(*(each.denominator for each in percents)) * _WHOLE
    numerators = [int(each / _WHOLE * denominator) for each in percents]
    wholes = chain(_one_by_one(rate.numerator), _with_halves(percents, rate.numerator))
    for whole_minor in islice(wholes, MAX_ROUNDED // len(units)):
        if most is not None and whole_minor >= most:
            continue
        paid_minor = sum(plan.round(each * whole_minor, denominator) for each in numerators)
        if paid_minor > whole_minor:
            rules = tuple(dict.fromkeys(each.rule for each in units))
            return Overpaid(rules, units[0].rule.base, whole_minor, paid_minor)
    return None


def _one_by_one(step: int) -> Iterator[int]:
    """Amounts in the asset that are worth a whole number of units of the base."""
    first = -(-MIN_WHOLE_MINOR // step) * step
    return iter(range(first, first + MAX_TRIES * step, step))


def _with_halves(percents: list[Fraction], step: int) -> Iterator[int]:
    """Amounts of which a part ends in a half."""
    for percent in percents:
        denominator = (percent / _WHOLE).denominator
        if denominator % 2 == 0:
            half = lcm(denominator // 2, step)
            first = max(1, -(-MIN_WHOLE_MINOR // half)) | 1
            yield from (half * number for number in range(first, first + 2 * _TIES, 2))
