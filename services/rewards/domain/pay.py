"""The decision: plan × conversion → amounts. The payout posts it, a refund recomputes it, an explanation tells it."""

from enum import Enum
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.plan import BUYER_LEVEL, Base, LevelAmount, Plan, Rule
from services.rewards.domain.rounding import Rounding, round_fraction


class Outcome(Enum):
    """What became of one rule at one level."""

    PAID = "paid"
    EVENT_TYPE = "event_type"
    NO_ANCESTOR = "no_ancestor"
    ROUNDS_TO_ZERO = "rounds_to_zero"
    NO_BASE = "no_base"
    CURRENCY_MISMATCH = "currency_mismatch"
    REVERSED = "reversed"


_PAID = Outcome.PAID  # in Python 3.11, to look up a member takes longer than to decide a level


class Decision(NamedTuple):
    """What one rule owes at one level, and how that came about. Amounts in the asset's minor units."""

    rule: Rule
    amount: LevelAmount
    beneficiary_id: str
    """Empty where the upline does not reach the level."""
    outcome: Outcome
    base_minor: int
    """What a percentage was taken of, in minor units of the conversion's currency, rounded down."""
    numerator: int
    """The exact amount before rounding is numerator / denominator."""
    denominator: int
    amount_minor: int


class _Base(NamedTuple):
    """A rule's base as an exact fraction, or why there is none."""

    numerator: int
    denominator: int
    minor: int
    """The same, rounded down."""
    refusal: Outcome | None


def pay(plan: Plan, conversion: Conversion) -> list[Decision]:
    """What the plan owes for what is left of the conversion: the PAID decisions only."""
    return [each for each in decide(plan, conversion) if each.outcome is _PAID]


def decide(plan: Plan, conversion: Conversion) -> list[Decision]:
    """Every decision of the rules that listen to the conversion's event type, in the order of rules and levels."""
    decisions = []
    for rule in plan.listening(conversion.event_type):
        base = _base(plan, rule, conversion)
        for level in rule.levels:
            decisions.append(_decide_level(plan.rounding, rule, level, conversion, base))
    return decisions


def silent(plan: Plan, conversion: Conversion) -> list[Decision]:
    """The rules that do not listen to the conversion's event type, one decision each."""
    return [
        Decision(rule, rule.levels[0], "", Outcome.EVENT_TYPE, 0, 0, 1, 0)
        for rule in plan.rules
        if conversion.event_type not in rule.event_types
    ]


def _base(plan: Plan, rule: Rule, conversion: Conversion) -> _Base:
    if conversion.void:
        return _Base(0, 1, 0, Outcome.REVERSED)
    if conversion.currency_code != plan.currency_code:
        return _Base(0, 1, 0, Outcome.CURRENCY_MISMATCH)
    if rule.base is Base.ORDER:
        return _Base(conversion.remaining_minor, 1, conversion.remaining_minor, None)
    if conversion.margin_minor is None:
        return _Base(0, 1, 0, None)
    if conversion.amount_minor == 0:
        return _Base(conversion.margin_minor, 1, conversion.margin_minor, None)
    # The margin shrinks in proportion to the amount; kept as a fraction, so that rounding happens once, at the end.
    numerator = conversion.margin_minor * conversion.remaining_minor
    return _Base(numerator, conversion.amount_minor, numerator // conversion.amount_minor, None)


def _decide_level(rounding: Rounding, rule: Rule, level: LevelAmount, conversion: Conversion, base: _Base) -> Decision:
    if level.level == BUYER_LEVEL:
        beneficiary = conversion.buyer_id
    elif level.level <= len(conversion.upline):
        beneficiary = conversion.upline[level.level - 1]
    else:
        return Decision(rule, level, "", Outcome.NO_ANCESTOR, 0, 0, 1, 0)
    base_numerator, base_denominator, base_minor, refusal = base
    if refusal is not None:
        return Decision(rule, level, beneficiary, refusal, base_minor, 0, 1, 0)
    _, numerator, denominator, percent = level
    if percent is not None:
        numerator, denominator = numerator * base_numerator, denominator * base_denominator
    amount_minor = round_fraction(numerator, denominator, rounding)
    outcome = _PAID
    if amount_minor == 0:
        has_base = percent is None or base_numerator > 0
        outcome = Outcome.ROUNDS_TO_ZERO if has_base else Outcome.NO_BASE
    return Decision(rule, level, beneficiary, outcome, base_minor, numerator, denominator, amount_minor)
