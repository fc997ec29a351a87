"""The decision: plan × conversion → amounts. The payout posts it, a refund recomputes it, an explanation tells it."""

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.basis import basis_of
from services.rewards.domain.decide.decision import Decision, Outcome, new_decision
from services.rewards.domain.decide.rich import decide_richly
from services.rewards.domain.plan.plan import BUYER_LEVEL, MAX_SURE_BASE_MINOR, Plan
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
    largest_minor = max(conversion.amount_minor, conversion.margin_minor or 0)
    if largest_minor > MAX_SURE_BASE_MINOR or not plan.is_plain(conversion.event_type):
        return decide_richly(plan, conversion, snapshot)
    decisions: list[Decision] = []
    in_whole_units, upline, height = plan.round, conversion.upline, len(conversion.upline)
    for rule in plan.listening(conversion.event_type):
        base_numerator, base_denominator, base_minor, refusal, _ = basis_of(plan, rule, conversion)
        for amount in rule.levels:
            level, numerator, denominator, percent = amount
            if level > height:
                decisions.append(Decision(rule, amount, "", Outcome.NO_ANCESTOR, 0, 0, 1, 0))
                continue
            person = conversion.buyer_id if level == BUYER_LEVEL else upline[level - 1]
            if refusal is not None:
                decisions.append(Decision(rule, amount, person, refusal, base_minor, 0, 1, 0))
                continue
            if percent is not None:
                numerator, denominator = numerator * base_numerator, denominator * base_denominator
            amount_minor = in_whole_units(numerator, denominator)
            outcome = _PAID
            if amount_minor == 0:
                has_base = percent is None or base_numerator > 0
                outcome = Outcome.ROUNDS_TO_ZERO if has_base else Outcome.NO_BASE
            decisions.append(
                new_decision(
                    (rule, amount, person, outcome, base_minor, numerator, denominator, amount_minor, (), False)
                )
            )
    return decisions


def silent(plan: Plan, conversion: Conversion) -> list[Decision]:
    """The rules that do not listen to the conversion's event type, one decision each."""
    return [
        Decision(rule, rule.levels[0], "", Outcome.EVENT_TYPE, 0, 0, 1, 0)
        for rule in plan.rules
        if conversion.event_type not in rule.event_types
    ]
