"""The decision: plan × conversion → amounts. The payout posts it, a refund recomputes it, an explanation tells it."""

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.basis import Basis, basis_of
from services.rewards.domain.decide.decision import Decision, Outcome
from services.rewards.domain.decide.rich import decide_richly
from services.rewards.domain.plan.plan import BUYER_LEVEL, MAX_SURE_BASE_MINOR, LevelAmount, Plan, Rule
from services.rewards.domain.plan.rounding import Rounding, round_fraction
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot

__all__ = ["Decision", "Outcome", "decide", "pay", "silent"]

_PAID = Outcome.PAID  # in Python 3.11, to look up a member takes longer than to decide a level


def pay(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> list[Decision]:
    """What the plan owes for what is left of the conversion: the PAID decisions only."""
    return [each for each in decide(plan, conversion, snapshot) if each.outcome is _PAID]


def decide(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> list[Decision]:
    """Every decision of the rules that listen to the conversion's event type, in the order of rules and levels.

    `snapshot`: the tallies before the conversion, of the plan's that count something.
    """
    base_minor = max(conversion.amount_minor, conversion.margin_minor or 0)
    if base_minor > MAX_SURE_BASE_MINOR or not plan.is_plain(conversion.event_type):
        return decide_richly(plan, conversion, snapshot)
    decisions = []
    for rule in plan.listening(conversion.event_type):
        base = basis_of(plan, rule, conversion)
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


def _decide_level(rounding: Rounding, rule: Rule, level: LevelAmount, conversion: Conversion, base: Basis) -> Decision:
    if level.level == BUYER_LEVEL:
        beneficiary = conversion.buyer_id
    elif level.level <= len(conversion.upline):
        beneficiary = conversion.upline[level.level - 1]
    else:
        return Decision(rule, level, "", Outcome.NO_ANCESTOR, 0, 0, 1, 0)
    base_numerator, base_denominator, base_minor, refusal, _ = base
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
