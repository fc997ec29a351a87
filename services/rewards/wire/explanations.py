"""Explanations out: decisions as messages, with their sentences in the caller's language."""

import re
from fractions import Fraction

from upline.rewards.v1 import plan_pb2, reward_pb2

from chassis.errors import invalid
from chassis.times import to_timestamp
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import CompressionStep, Decision, Outcome
from services.rewards.domain.explain.decision import explain_decision
from services.rewards.domain.explain.numbers import fraction_text
from services.rewards.domain.explain.steps import explain_steps
from services.rewards.domain.explain.words import LOCALES
from services.rewards.domain.plan.plan import Base, Plan
from services.rewards.domain.plan.rounding import Rounding
from services.rewards.domain.reward import RevisionView
from services.rewards.domain.settle.holds import hold_end
from services.rewards.wire.currencies import currency_digits

_LARGEST_INT64 = 2**63 - 1
"""Earnings in a cheap asset may come to more: then the reward is too large to be paid, and `exact_minor` tells what it
would be."""

_OUTCOMES = {
    Outcome.PAID: reward_pb2.OUTCOME_PAID,
    Outcome.EVENT_TYPE: reward_pb2.OUTCOME_EVENT_TYPE,
    Outcome.NO_ANCESTOR: reward_pb2.OUTCOME_NO_ANCESTOR,
    Outcome.ROUNDS_TO_ZERO: reward_pb2.OUTCOME_ROUNDS_TO_ZERO,
    Outcome.NO_BASE: reward_pb2.OUTCOME_NO_BASE,
    Outcome.CURRENCY_MISMATCH: reward_pb2.OUTCOME_CURRENCY_MISMATCH,
    Outcome.REVERSED: reward_pb2.OUTCOME_REVERSED,
    Outcome.CONDITION: reward_pb2.OUTCOME_CONDITION,
    Outcome.CONDITION_ERROR: reward_pb2.OUTCOME_CONDITION_ERROR,
    Outcome.OCCURRENCE: reward_pb2.OUTCOME_OCCURRENCE,
    Outcome.UNQUALIFIED: reward_pb2.OUTCOME_UNQUALIFIED,
    Outcome.NO_LINK_OWNER: reward_pb2.OUTCOME_NO_LINK_OWNER,
    Outcome.NO_TIER: reward_pb2.OUTCOME_NO_TIER,
    Outcome.CAPPED: reward_pb2.OUTCOME_CAPPED,
    Outcome.OUTBID: reward_pb2.OUTCOME_OUTBID,
    Outcome.SHARED: reward_pb2.OUTCOME_SHARED,
    Outcome.REJECTED: reward_pb2.OUTCOME_REJECTED,
    Outcome.TOO_LITTLE_LEFT: reward_pb2.OUTCOME_TOO_LITTLE_LEFT,
}
_ROUNDING = {
    Rounding.HALF_EVEN: plan_pb2.ROUNDING_MODE_HALF_EVEN,
    Rounding.HALF_UP: plan_pb2.ROUNDING_MODE_HALF_UP,
    Rounding.DOWN: plan_pb2.ROUNDING_MODE_DOWN,
}
_BASE = {
    Base.ORDER: plan_pb2.AMOUNT_BASE_ORDER,
    Base.MARGIN: plan_pb2.AMOUNT_BASE_MARGIN,
    Base.LINES: plan_pb2.AMOUNT_BASE_LINES,
    Base.EARNINGS: plan_pb2.AMOUNT_BASE_EARNINGS,
}
_REWARD_ID = re.compile(r"[0-9a-f]{32}")


def read_locale(asked: str) -> str:
    """The language in which to explain; INVALID_ARGUMENT for one that is not offered."""
    language = (asked or "en").split("-")[0].lower()
    if language not in LOCALES:
        raise invalid("locale", f"{asked!r} is not offered; use one of {', '.join(LOCALES)}")
    return language


def read_reward_id(reward_id: str) -> str:
    """The id of a reward; INVALID_ARGUMENT for a text that cannot be one."""
    if not _REWARD_ID.fullmatch(reward_id):
        raise invalid("reward_id", "is not a reward's id: 32 hexadecimal digits")
    return reward_id


def derivation_message(plan: Plan, conversion: Conversion, decision: Decision, locale: str) -> reward_pb2.Derivation:
    """One decision for the caller."""
    rule, level, digits = decision.rule, decision.amount, currency_digits(plan.currency_code)
    message = reward_pb2.Derivation(
        rule_id=rule.rule_id,
        level=level.level,
        beneficiary_id=decision.beneficiary_id,
        outcome=_OUTCOMES[decision.outcome],
        rounding=_ROUNDING[plan.rounding],
        asset=rule.asset.code,
        amount_minor=decision.amount_minor,
        exact_minor=fraction_text(Fraction(decision.numerator, decision.denominator)),
        sentence=explain_decision(plan, conversion, decision, digits, locale),
        steps=explain_steps(plan, conversion, decision, digits, locale),
        distance=next((each.distance for each in decision.steps if isinstance(each, CompressionStep)), 0),
        share=decision.is_share,
    )
    if level.percent is not None:
        message.base = _BASE[rule.base]
        message.base_minor = min(decision.base_minor, _LARGEST_INT64)
        message.percent = fraction_text(level.percent)
    if (until := hold_end(rule, conversion)) is not None:
        message.hold_until.CopyFrom(to_timestamp(until))
    return message


def revision_message(revision: RevisionView, rejection_reason: str) -> reward_pb2.RewardRevision:
    """One change of a reward for the caller, with the reason where a person rejected it."""
    return reward_pb2.RewardRevision(
        reversal_id=revision.reversal_id,
        delta_minor=revision.delta_minor,
        create_time=to_timestamp(revision.record_time),
        rejection_reason="" if revision.reversal_id else rejection_reason,
    )
