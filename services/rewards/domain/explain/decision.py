"""Decisions in words, for program managers and support."""

from collections.abc import Sequence
from typing import Final

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import (
    AllotmentStep,
    BonusStep,
    ConditionFailureStep,
    Decision,
    Outcome,
    RejectionStep,
)
from services.rewards.domain.explain.numbers import exact_text, fraction_text, minor_text
from services.rewards.domain.explain.words import WORDS
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.audience import BUYER_LEVEL, Role
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.settle.holds import hold_end

_REASONS: Final = (
    ({Outcome.REVERSED}, "all_reversed"),
    ({Outcome.NO_ANCESTOR}, "no_upline"),
    ({Outcome.NO_LINK_OWNER}, "no_owner"),
    ({Outcome.NO_ANCESTOR, Outcome.NO_LINK_OWNER}, "no_upline"),
    ({Outcome.REJECTED, Outcome.NO_ANCESTOR, Outcome.NO_LINK_OWNER}, "all_rejected"),
    ({Outcome.CURRENCY_MISMATCH}, "other_currency"),
    ({Outcome.TOO_LITTLE_LEFT, Outcome.NO_ANCESTOR, Outcome.NO_LINK_OWNER}, "all_too_little"),
    ({Outcome.CONDITION, Outcome.CONDITION_ERROR}, "no_condition"),
    ({Outcome.OCCURRENCE}, "no_occurrence"),
    ({Outcome.UNQUALIFIED, Outcome.NO_ANCESTOR}, "nobody_qualified"),
    ({Outcome.NO_TIER}, "no_bound"),
    ({Outcome.CAPPED}, "no_room"),
    ({Outcome.ROUNDS_TO_ZERO, Outcome.NO_BASE, Outcome.NO_ANCESTOR}, "all_zero"),
)
"""The reasons for which nobody gets anything: the first holds whose outcomes include those of all rules."""


def rejected_decision(decision: Decision, reason: str) -> Decision:
    """A decision as it is after a person rejected the reward."""
    return decision._replace(outcome=Outcome.REJECTED, amount_minor=0, steps=(*decision.steps, RejectionStep(reason)))


def explain_decision(plan: Plan, conversion: Conversion, decision: Decision, currency_digits: int, locale: str) -> str:
    """One decision in one sentence, or two where there is a hold."""
    words = WORDS[locale]
    rule = decision.rule
    facts = _facts(plan, conversion, decision, currency_digits, words)
    if decision.outcome is Outcome.PAID:
        amount = _money(decision.amount_minor, rule)
        if facts["owed"] != amount:
            amount = words["part"].format(amount=amount, owed=facts["owed"])
        how = words[_how(decision)].format(**facts)
        return words["paid"].format(**facts | {"amount": amount, "how": how}) + _hold(rule, conversion, words)
    if decision.outcome is Outcome.OCCURRENCE:
        facts["which"] = _which(rule, conversion, words)
    if decision.outcome is Outcome.NO_ANCESTOR and rule.qualification is not None:
        return words["no_qualified"].format(**facts)
    return words[decision.outcome.value].format(**facts)


def explain_conversion(plan: Plan | None, conversion: Conversion, decisions: Sequence[Decision], locale: str) -> str:
    """The whole conversion in one sentence."""
    words = WORDS[locale]
    if plan is None:
        return words["no_plan"].format(conversion=conversion.conversion_id)
    totals: dict[str, int] = {}
    digits = {each.code: each.digits for each in plan.assets}
    for each in decisions:
        if each.outcome is Outcome.PAID:
            totals[each.rule.asset.code] = totals.get(each.rule.asset.code, 0) + each.amount_minor
    if totals:
        amounts = ", ".join(f"{minor_text(amount, digits[code])} {code}" for code, amount in totals.items())
        return words["total"].format(version=plan.version, amounts=amounts, conversion=conversion.conversion_id)
    outcomes = {each.outcome for each in decisions}
    key = next((key for all_of, key in _REASONS if outcomes <= all_of), "each_says") if outcomes else "no_rule"
    if Outcome.REVERSED in outcomes:
        key = "all_reversed"
    if key == "no_upline":
        key = f"no_upline_{conversion.read_details().uncredited}"
    why = words.get(key, words["no_upline"]).format(
        event=conversion.event_type, currency=conversion.currency_code, plan=plan.currency_code
    )
    return words["nothing"].format(conversion=conversion.conversion_id, why=why)


def _facts(
    plan: Plan, conversion: Conversion, decision: Decision, currency_digits: int, words: dict[str, str]
) -> dict[str, str]:
    rule, level = decision.rule, decision.amount
    exact = f"{exact_text(decision.numerator, decision.denominator, rule.asset.digits)} {rule.asset.code}"
    rounding = words[plan.rounding.value]
    is_whole = decision.numerator % decision.denominator == 0
    allotted = next((each for each in decision.steps if isinstance(each, AllotmentStep)), None)
    owed = plan.round(decision.numerator, decision.denominator) if allotted is None else allotted.part_minor
    return {
        "rule": rule.rule_id,
        "to": _to(decision, words),
        "exact": exact,
        "owed": _money(owed, rule),
        "rounding": rounding,
        "rounded": "" if is_whole else words["rounded"].format(exact=exact, rounding=rounding),
        "allotment": allotted.allotment_id if allotted is not None else "",
        "percent": fraction_text(level.percent) if level.percent is not None else "",
        "base": _base(decision, conversion, currency_digits, words),
        "types": ", ".join(sorted(rule.event_types)),
        "event": conversion.event_type,
        "level": str(level.level),
        "count": str(len(conversion.upline)),
        "currency": conversion.currency_code,
        "plan": plan.currency_code,
        "group": rule.group,
        "least": fraction_text(rule.least_left_percent) if rule.least_left_percent is not None else "",
        "condition": f"{rule.when.text}." if rule.when else "",
        "qualification": f"{rule.qualification.when.text}." if rule.qualification else "",
        "error": next((each.error for each in decision.steps if isinstance(each, ConditionFailureStep)), ""),
        "reason": next((each.reason for each in decision.steps if isinstance(each, RejectionStep)), ""),
    }


def _how(decision: Decision) -> str:
    if any(isinstance(each, BonusStep) for each in decision.steps):
        return "by_bonus"
    if decision.rule.table is not None:
        return "by_table"
    if decision.rule.part is not None:
        return "by_allotment"
    return "by_fixed" if decision.amount.percent is None else "by_percent"


def _hold(rule: Rule, conversion: Conversion, words: dict[str, str]) -> str:
    until = hold_end(rule, conversion)
    sentences = words["hold"].format(until=f"{until:%Y-%m-%d %H:%M} UTC") if until is not None else ""
    if rule.hold is None:
        return sentences
    if rule.hold.until_event:
        sentences += words["hold_event"].format(event=rule.hold.until_event)
    return sentences + words["hold_approval"] if rule.hold.approval else sentences


def _which(rule: Rule, conversion: Conversion, words: dict[str, str]) -> str:
    """The words for the conversions that a rule with an occurrence pays."""
    occurrence = rule.occurrence
    if occurrence is None:
        return words["occurrence_any"]
    if occurrence.first:
        which = words["occurrence_first"].format(count=occurrence.first)
    elif occurrence.nth:
        which = words["occurrence_nth"].format(count=occurrence.nth)
    else:
        which = words["occurrence_any"]
    if occurrence.within_of_binding is None:
        return which
    bind_time = conversion.read_details().bind_time
    if bind_time is None:
        return words["occurrence_unbound"].format(which=which)
    end = bind_time + occurrence.within_of_binding
    span = words["occurrence_between" if occurrence.after_binding_only else "occurrence_within"]
    return span.format(which=which, start=f"{bind_time:%Y-%m-%d %H:%M} UTC", end=f"{end:%Y-%m-%d %H:%M} UTC")


def _to(decision: Decision, words: dict[str, str]) -> str:
    level = decision.amount.level
    if decision.is_share:
        key = "share"
    elif not decision.beneficiary_id:
        key = "nobody"
    elif decision.rule.to.who is Role.LINK_OWNER:
        key = "link_owner"
    else:
        key = "buyer" if level == BUYER_LEVEL else "level"
    return words[key].format(who=decision.beneficiary_id, level=level)


def _money(amount_minor: int, rule: Rule) -> str:
    return f"{minor_text(amount_minor, rule.asset.digits)} {rule.asset.code}"


def _base(decision: Decision, conversion: Conversion, currency_digits: int, words: dict[str, str]) -> str:
    rule = decision.rule
    if rule.base is Base.EARNINGS:
        return words["earnings"].format(amount=_money(decision.base_minor, rule))
    if rule.base is Base.MARGIN and conversion.margin_minor is None:
        return words["no_margin"]
    amount = f"{minor_text(decision.base_minor, currency_digits)} {conversion.currency_code}"
    return words[rule.base.value].format(amount=amount)
