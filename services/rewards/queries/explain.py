"""Explanations: decisions are pure, so they are made again from the stored fact and the version that paid it."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found
from services.rewards.domain.conversion import Conversion, after
from services.rewards.domain.decide.decision import SHARE_BIT, Decision, Outcome
from services.rewards.domain.decide.evaluation import decide, silent
from services.rewards.domain.explain.decision import rejected_decision
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.reward import RevisionView, RewardView
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import conversions, holds, rewards
from services.rewards.store.conversions import StoredConversion
from services.rewards.store.holds import NO_REJECTION
from services.rewards.store.view import on_one_snapshot


class ExplainedReward(NamedTuple):
    """One reward with the decisions that explain its first and its present amount."""

    reward: RewardView
    plan: Plan
    conversion: Conversion
    first: Decision
    """The decision that accrued the reward."""
    remaining: Conversion
    """The conversion as it is left after its reversals."""
    current: Decision
    """The decision about what remains."""
    revisions: Sequence[RevisionView]


class ExplainedConversion(NamedTuple):
    """One conversion as it stands, with the decisions of every rule."""

    remaining: Conversion
    """The conversion as it is left after its reversals."""
    plan_version: int
    """The version that pays it; 0 for none."""
    plan: Plan | None
    decisions: Sequence[Decision]
    silent: Sequence[Decision]
    """The decisions of rules that do not listen to the conversion's event type."""

    @property
    def all_decisions(self) -> Sequence[Decision]:
        """The decisions of every rule."""
        return [*self.decisions, *self.silent]


async def explain_reward(deps: QueryDeps, program_id: str, reward_id: str) -> ExplainedReward:
    """Decides one reward's conversion again, whole and as it is left. NOT_FOUND for a reward that is not there."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        await require_plans(deps, conn, program_id)
        stored = await conversions.load_of_reward(conn, program_id, reward_id)
        reward = await rewards.load(conn, stored.conversion, reward_id) if stored else None
        if stored is None or reward is None:
            raise not_found("reward", reward_id)
        remaining = await _remaining(conn, stored)
        revisions = await rewards.revisions(conn, reward_id)
        plan = await deps.plans.plan(conn, program_id, reward.plan_version)
    slot = UUID(reward_id).int & 0xFFFF
    decided = [
        await deps.explaining.run(decide, plan, conversion, stored.snapshot)
        for conversion in (stored.conversion, remaining)
    ]
    first, current = (_in_slot(each, slot) for each in decided)
    if reward.rejection_reason:
        current = rejected_decision(current, reward.rejection_reason)
    return ExplainedReward(reward, plan, stored.conversion, first, remaining, current, revisions)


async def explain_conversion(deps: QueryDeps, program_id: str, conversion_id: str) -> ExplainedConversion:
    """Decides one conversion again, as it is left. NOT_FOUND for a conversion that is not there."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        _ = (await deps.plans.load(conn, [program_id]))[program_id]  # raises if it cannot be read
        stored = await conversions.load(conn, program_id, conversion_id)
        if stored is None:
            raise not_found("conversion", conversion_id)
        remaining = await _remaining(conn, stored)
        key = stored.conversion.key
        rejection = (await holds.load_rejections(conn, [key])).get(key, NO_REJECTION)
        if not stored.plan_version:
            return ExplainedConversion(remaining, 0, None, (), ())
        plan = await deps.plans.plan(conn, program_id, stored.plan_version)
    decisions = [
        rejected_decision(each, rejection.reason)
        if each.outcome is Outcome.PAID and each.rule.rule_id in rejection.rule_ids
        else each
        for each in await deps.explaining.run(decide, plan, remaining, stored.snapshot)
    ]
    return ExplainedConversion(remaining, stored.plan_version, plan, decisions, silent(plan, remaining))


async def _remaining(conn: AsyncConnection, stored: StoredConversion) -> Conversion:
    key = stored.conversion.key
    return after(stored.conversion, (await conversions.load_reversals(conn, [key]))[key])


def _in_slot(decisions: Sequence[Decision], slot: int) -> Decision:
    """The decision about a reward; of a share that is no more, that about the reward it was a part of."""
    by_slot = {each.slot: each for each in decisions}
    return by_slot[slot] if slot in by_slot else by_slot[slot & ~SHARE_BIT]
