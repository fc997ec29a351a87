"""Explanations: the decision is pure, so it is made again from the stored event and the version that paid, and told."""

import re
from collections.abc import Sequence
from fractions import Fraction
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import plan_pb2, reward_pb2

from chassis.errors import invalid, not_found
from chassis.pages import fitting, page_size
from chassis.times import to_timestamp
from services.rewards.domain.conversion import Conversion, after
from services.rewards.domain.decide.decision import SHARE_BIT, CompressionStep, Decision, Outcome
from services.rewards.domain.decide.evaluation import decide, silent
from services.rewards.domain.explain.decisions import explain_conversion, explain_decision, rejected_decision
from services.rewards.domain.explain.numbers import fraction_text
from services.rewards.domain.explain.steps import explain_steps
from services.rewards.domain.explain.words import LOCALES
from services.rewards.domain.plan.plan import Base, Plan
from services.rewards.domain.plan.rounding import Rounding
from services.rewards.domain.settle.settlement import hold_end
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.queries.rewards import reward_message
from services.rewards.store import conversions, reading, waiting
from services.rewards.store.conversions import StoredConversion
from services.rewards.store.waiting import NO_REJECTION
from services.rewards.wire.plans import currency_digits

_LARGEST_INT64 = 2**63 - 1
"""Earnings in a cheap asset may come to more: then the reward is too large to be paid, and `exact_minor` tells what it would be."""

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


async def explain_reward(deps: QueryDeps, request: reward_pb2.ExplainRewardRequest) -> reward_pb2.ExplainRewardResponse:
    """One reward: how it came about, what was taken back, how what is left comes about."""
    locale = _locale(request.locale)
    if not _REWARD_ID.fullmatch(request.reward_id):
        raise invalid("reward_id", "is not a reward's id: 32 hexadecimal digits")
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        versions = await require_plans(deps, conn, request.program_id)
        kept = await conversions.load_of_reward(conn, request.program_id, request.reward_id)
        view = await reading.reward(conn, kept.conversion, request.reward_id) if kept else None
        if kept is None or view is None:
            raise not_found("reward", request.reward_id)
        left = await _left(conn, kept)
        revisions = await reading.revisions(conn, request.reward_id)
    plan = versions.version(view.plan_version)
    slot = UUID(view.reward_id).int & 0xFFFF
    first, current = (_in_slot(decide(plan, conversion, kept.snapshot), slot) for conversion in (kept.conversion, left))
    if view.rejection_reason:
        current = rejected_decision(current, view.rejection_reason)
    return reward_pb2.ExplainRewardResponse(
        reward=reward_message(view),
        derivation=_derivation(plan, kept.conversion, first, locale),
        current=_derivation(plan, left, current, locale),
        revisions=fitting(
            reward_pb2.RewardRevision(
                reversal_id=row.reversal_id,
                delta_minor=row.delta_minor,
                create_time=to_timestamp(row.record_time),
                rejection_reason="" if row.reversal_id else view.rejection_reason,
            )
            for row in revisions
        ),
        revision_count=len(revisions),
    )


async def explain_conversion_now(
    deps: QueryDeps, request: reward_pb2.ExplainConversionRequest
) -> reward_pb2.ExplainConversionResponse:
    """One conversion as it stands: what every rule pays, and why it pays nothing where it does not."""
    locale = _locale(request.locale)
    position = deps.pager.position(request, request.page_token)
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        versions = (await deps.plans.load(conn, [request.program_id]))[request.program_id]
        kept = await _require_conversion(conn, request.program_id, request.conversion_id)
        left = await _left(conn, kept)
        rejection = (await waiting.load_rejections(conn, [kept.conversion.key])).get(kept.conversion.key, NO_REJECTION)
    plan = versions.version(kept.plan_version) if kept.plan_version else None
    decisions = [
        rejected_decision(each, rejection.reason)
        if each.outcome is Outcome.PAID and each.rule.rule_id in rejection.rule_ids
        else each
        for each in (decide(plan, left, kept.snapshot) if plan else [])
    ]
    told = [_derivation(plan, left, each, locale) for each in decisions + silent(plan, left)] if plan else []
    derivations, token = deps.pager.page(
        request,
        list(enumerate(told, start=1))[position[0] if position else 0 :],
        page_size(request.page_size) if request.page_size else len(told),
        lambda each: each[1],
        lambda last: [last[0]],
    )
    return reward_pb2.ExplainConversionResponse(
        plan_version=kept.plan_version,
        derivations=derivations,
        next_page_token=token,
        remaining_minor=left.remaining_minor,
        currency_code=left.currency_code,
        sentence=explain_conversion(plan, left, decisions, locale),
    )


async def _require_conversion(conn: AsyncConnection, program_id: str, conversion_id: str) -> StoredConversion:
    kept = await conversions.load(conn, program_id, conversion_id)
    if kept is None:
        raise not_found("conversion", conversion_id)
    return kept


async def _left(conn: AsyncConnection, kept: StoredConversion) -> Conversion:
    key = kept.conversion.key
    return after(kept.conversion, (await conversions.load_reversals(conn, [key]))[key])


def _in_slot(decisions: Sequence[Decision], slot: int) -> Decision:
    """The decision about a reward; of a share that is no more, that about the reward it was a part of."""
    by_slot = {each.slot: each for each in decisions}
    return by_slot[slot] if slot in by_slot else by_slot[slot & ~SHARE_BIT]


def _locale(asked: str) -> str:
    language = (asked or "en").split("-")[0].lower()
    if language not in LOCALES:
        raise invalid("locale", f"{asked!r} is not offered; use one of {', '.join(LOCALES)}")
    return language


def _derivation(plan: Plan, conversion: Conversion, decision: Decision, locale: str) -> reward_pb2.Derivation:
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
