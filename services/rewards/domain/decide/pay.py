"""The amounts that a conversion pays: settling posts them, and a refund computes them again. `decide` tells why."""

from collections.abc import Iterable

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.basis import basis_of
from services.rewards.domain.decide.decision import Decision, Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.plan.plan import BUYER_LEVEL, MAX_SURE_BASE_MINOR, Plan, Rule
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot

Owed = tuple[Rule, int, str, int, bool]
"""(rule, level, beneficiary_id, amount_minor, is_share) of a reward, as in `Decision`; `amount_minor` > 0. It is a bare
tuple, for settling makes thousands."""

_PAID = Outcome.PAID  # in Python 3.11, to look up a member takes longer than to decide a level


def pay(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> list[Owed]:
    """The amounts that the plan owes for the rest of the conversion, in the order of rules and levels.

    `snapshot`: the tallies before the conversion, for plans that count something.
    """
    largest_minor = max(conversion.amount_minor, conversion.margin_minor or 0)
    event_rules = plan.event_rules(conversion.event_type)
    if event_rules.is_plain and largest_minor <= MAX_SURE_BASE_MINOR:
        return _pay_level_by_level(plan, event_rules.rules, conversion)
    return owed(decide(plan, conversion, snapshot))


def owed(decisions: Iterable[Decision]) -> list[Owed]:
    """The amounts of the decisions that pay."""
    return [
        (each.rule, each.amount.level, each.beneficiary_id, each.amount_minor, each.is_share)
        for each in decisions
        if each.outcome is _PAID
    ]


def _pay_level_by_level(plan: Plan, rules: Iterable[Rule], conversion: Conversion) -> list[Owed]:
    """The amounts of `decide` without its reasons, where nothing but the base and the level makes a difference."""
    paid: list[Owed] = []
    in_whole_units, upline = plan.round, conversion.upline
    height = len(upline)
    for rule in rules:
        base_numerator, base_denominator, _, unpaid, _ = basis_of(plan, rule, conversion)
        if unpaid is not None:
            continue
        for level, numerator, denominator, percent in rule.levels:
            if level > height:
                continue
            if percent is None:
                amount_minor = in_whole_units(numerator, denominator)
            else:
                amount_minor = in_whole_units(numerator * base_numerator, denominator * base_denominator)
            if amount_minor:
                person = conversion.buyer_id if level == BUYER_LEVEL else upline[level - 1]
                paid.append((rule, level, person, amount_minor, False))
    return paid
