"""Warnings of things in a plan that are allowed and probably not meant."""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from services.rewards.domain.check.rounding import overpaid
from services.rewards.domain.check.worlds import domains_of, every_level, is_ever_true
from services.rewards.domain.check.worst_case import worst_cases
from services.rewards.domain.decide.inputs import DAYS_SINCE_BIND
from services.rewards.domain.explain.numbers import fraction_text, minor_text
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.audience import Audience, Role
from services.rewards.domain.plan.condition import COUNTERS_PREFIX
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.limits import CapScope
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.tiers import TierMode, Tiers

_WHOLE: Final = 100
_BASES: Final = {Base.ORDER: "an order", Base.MARGIN: "a margin", Base.LINES: "lines"}
_COSTS: Final = frozenset({"event.amount_minor", "lines"})
"""A condition on these can ask for a purchase."""


class WarningKind(Enum):
    """The kinds of warnings. Their names are part of the contract."""

    PAYS_MORE_THAN_THE_ORDER = "pays_more_than_the_order"
    PARTS_MORE_THAN_THE_WHOLE = "parts_more_than_the_whole"
    UNREACHABLE_TIER = "unreachable_tier"
    TIER_PAYS_LESS = "tier_pays_less"
    NEVER_MATCHES = "never_matches"
    COMPETING_UNITS = "competing_units"
    LONELY_GROUP = "lonely_group"
    COSTS_NOTHING_TO_TRIGGER = "costs_nothing_to_trigger"
    UNUSED_COUNTER = "unused_counter"
    SHARE_OF_OTHERS = "share_of_others"
    AMBIGUOUS_DAYS = "ambiguous_days"


class PlanWarning(NamedTuple):
    """One thing in a plan that is probably not meant."""

    kind: WarningKind
    path: str
    """The field, from the request."""
    text: str


def lint(plan: Plan, currency_digits: int) -> list[PlanWarning]:
    """Everything that is suspicious, in the order of kinds and rules. `currency_digits`: decimal places of the plan's
    currency, because texts have amounts in whole units."""
    return [
        *_too_much(plan),
        *_rounded_up(plan),
        *(each for rule in plan.rules for each in _of_rule(plan, rule, currency_digits)),
        *_groups(plan),
        *_unused(plan),
        *_ambiguous(plan),
    ]


def _of_rule(plan: Plan, rule: Rule, currency_digits: int) -> Iterator[PlanWarning]:
    path = f"plan.rules[{rule.ordinal}]"
    yield from _never(plan, rule, path)
    if rule.tiers is not None:
        yield from _tiers(plan, rule, rule.tiers, f"{path}.tiers", currency_digits)
    if _is_free(plan, rule):
        yield PlanWarning(
            WarningKind.COSTS_NOTHING_TO_TRIGGER,
            path,
            f"rule {rule.rule_id!r} pays the same for each {' and '.join(sorted(rule.event_types))}, whatever was paid,"
            " and nothing bounds it:"
            " ask for `event.amount_minor`, set a cap or a budget, or hold it until an event or an approval",
        )
    if rule.share is not None and rule.share.is_chosen and rule.levels[-1].level > 1:
        yield PlanWarning(
            WarningKind.SHARE_OF_OTHERS,
            f"{path}.share",
            f"rule {rule.rule_id!r} lets the buyer's referrer give away a part of what those above are paid",
        )


def _too_much(plan: Plan) -> Iterator[PlanWarning]:
    for event_type, cost in worst_cases(plan).items():
        if cost.order_percent > _WHOLE:
            yield PlanWarning(
                WarningKind.PAYS_MORE_THAN_THE_ORDER,
                "plan.rules",
                f"for one {event_type} up to {fraction_text(cost.order_percent)} % of the order is paid,"
                " before caps and budgets",
            )


def _rounded_up(plan: Plan) -> Iterator[PlanWarning]:
    for excess in overpaid(plan):
        names = " and ".join(repr(each.rule_id) for each in excess.rules)
        who = f"rules {names}" if len(excess.rules) > 1 else f"the levels of rule {names}"
        asset = excess.rules[0].asset
        whole, paid = (minor_text(each, asset.digits) for each in (excess.whole_minor, excess.paid_minor))
        yield PlanWarning(
            WarningKind.PARTS_MORE_THAN_THE_WHOLE,
            f"plan.rules[{excess.rules[0].ordinal}].amount",
            f"{who} round one by one, so that of {_BASES[excess.base]} worth {whole} {asset.code} they pay {paid}:"
            " divide an allotment by `allot`, or round DOWN",
        )


def _never(plan: Plan, rule: Rule, path: str) -> Iterator[PlanWarning]:
    qualified = rule.qualification.when if rule.qualification is not None else None
    domains = domains_of(plan, sorted(rule.event_types), every_level(rule))
    for condition, field in ((rule.when, "when"), (qualified, "qualification.when")):
        if condition is not None and not is_ever_true(condition, domains):
            yield PlanWarning(
                WarningKind.NEVER_MATCHES,
                f"{path}.{field}",
                f"rule {rule.rule_id!r} never pays: {condition.text} is never true",
            )
    if rule.base is Base.EARNINGS:
        sources = [each for each in plan.rules if each.rule_id in rule.earnings_of]
        if not any(each.event_types & rule.event_types for each in sources):
            yield PlanWarning(
                WarningKind.NEVER_MATCHES,
                f"{path}.on",
                f"rule {rule.rule_id!r} never pays: it listens to other events than the rules in `earnings_of`",
            )


def _tiers(plan: Plan, rule: Rule, tiers: Tiers, path: str, currency_digits: int) -> Iterator[PlanWarning]:
    counter = plan.counters[tiers.counter_id]
    why = _why_unreachable(rule, tiers, counter)
    highest = 1 if counter.measure is Measure.REFEREES and counter.of.who is Role.BUYER else None
    for number, tier in enumerate(tiers.tiers):
        where, bound = f"{path}.tiers[{number}]", str(tier.bound)
        if counter.measure is Measure.VOLUME:
            bound = f"{minor_text(tier.bound, currency_digits)} {plan.currency_code}"
        reason = why
        if not reason and highest is not None and tier.bound > highest:
            reason = f"{counter.counter_id!r} counts a buyer's own conversions, who is one referee of their own at most"
        if reason:
            text = f"rule {rule.rule_id!r} never reaches the tier from {bound}: {reason}"
            yield PlanWarning(WarningKind.UNREACHABLE_TIER, where, text)
        before = tiers.tiers[number - 1].levels if number else rule.levels
        if tiers.mode is not TierMode.BONUS and any(
            now.numerator * then.denominator < then.numerator * now.denominator
            for now, then in zip(tier.levels, before, strict=True)
        ):
            yield PlanWarning(
                WarningKind.TIER_PAYS_LESS, where, f"rule {rule.rule_id!r} pays less from {bound} on than below it"
            )


def _why_unreachable(rule: Rule, tiers: Tiers, counter: Counter) -> str:
    """The reason why no tier is ever reached; empty if they may be."""
    if tiers.mode is not TierMode.BONUS:
        return ""
    if not rule.event_types & counter.event_types:
        return f"{counter.counter_id!r} counts other events, and a bonus is paid for the one that crosses the bound"
    if not _overlap(rule.to, counter.of):
        return f"{counter.counter_id!r} counts for others than the rule pays"
    return ""


def _overlap(one: Audience, other: Audience) -> bool:
    """Whether one person can be meant by both."""
    if Role.BUYER in (one.who, other.who):
        return one.who is other.who
    if Role.LINK_OWNER in (one.who, other.who):
        return True
    return max(one.first_level, other.first_level) <= min(one.last_level, other.last_level)


def _is_free(plan: Plan, rule: Rule) -> bool:
    """Whether a fixed amount can be had again and again for nothing."""
    is_fixed = rule.table is None and all(each.percent is None for each in rule.levels)
    if not is_fixed or rule.base is Base.EARNINGS or rule.waits:
        return False
    if rule.tiers is not None and rule.tiers.mode is TierMode.BONUS:
        is_fixed = plan.counters[rule.tiers.counter_id].measure is not Measure.VOLUME
    asks = rule.when is not None and bool(rule.when.names & _COSTS)
    capped = any(each.scope is not CapScope.REWARD for each in rule.caps)
    return is_fixed and not (asks or capped or rule.budgets)


def _groups(plan: Plan) -> Iterator[PlanWarning]:
    groups: dict[str, list[Rule]] = {}
    for rule in plan.rules:
        if rule.group:
            groups.setdefault(rule.group, []).append(rule)
    for group, members in groups.items():
        path = f"plan.rules[{members[0].ordinal}].group"
        if len(members) == 1:
            yield PlanWarning(
                WarningKind.LONELY_GROUP, path, f"rule {members[0].rule_id!r} is alone in group {group!r}"
            )
        units = {(each.asset.code, _unit(each)) for each in members}
        if len(units) > 1:
            compared = ", ".join(f"{unit} in {asset}" for asset, unit in sorted(units))
            yield PlanWarning(
                WarningKind.COMPETING_UNITS,
                path,
                f"group {group!r} compares {compared}: which wins depends on the conversion",
            )


def _unit(rule: Rule) -> str:
    if rule.table is not None:
        return "a table"
    return (
        "a fixed amount" if all(each.percent is None for each in rule.levels) else f"a percentage of {rule.base.value}"
    )


def _unused(plan: Plan) -> Iterator[PlanWarning]:
    used = {rule.tiers.counter_id for rule in plan.rules if rule.tiers is not None}
    used |= {each.counter_id for each in plan.contests}
    conditions = [rule.when for rule in plan.rules]
    conditions += [rule.qualification.when for rule in plan.rules if rule.qualification is not None]
    conditions += [each.gate for each in plan.terms.payouts.values()]
    named = {name for each in conditions if each is not None for name in each.names}
    for index, counter_id in enumerate(plan.counters):
        if counter_id not in used and f"{COUNTERS_PREFIX}{counter_id}" not in named:
            yield PlanWarning(
                WarningKind.UNUSED_COUNTER, f"plan.counters[{index}]", f"nothing asks for counter {counter_id!r}"
            )


def _ambiguous(plan: Plan) -> Iterator[PlanWarning]:
    conditions = [(f"plan.counters[{index}].when", each.when) for index, each in enumerate(plan.counters.values())]
    for rule in plan.rules:
        path = f"plan.rules[{rule.ordinal}]"
        conditions.append((f"{path}.when", rule.when))
        if rule.qualification is not None:
            conditions.append((f"{path}.qualification.when", rule.qualification.when))
    for path, condition in conditions:
        if condition is not None and DAYS_SINCE_BIND in condition.names:
            yield PlanWarning(
                WarningKind.AMBIGUOUS_DAYS,
                path,
                f"`{DAYS_SINCE_BIND}` is -1 for buyers who were never bound, and for those who were bound within a day"
                " after the conversion: ask for `buyer.days_bound`, which is -1 for buyers who were not bound when it"
                " happened and never less",
            )
