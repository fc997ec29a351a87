"""Accruals: the rewards of a new conversion, made of decisions."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.pay import Owed, pay
from services.rewards.domain.ledger import Reward, new_reward
from services.rewards.domain.plan.plan import BUYER_LEVEL, Plan
from services.rewards.domain.settle.holds import held_until
from services.rewards.domain.settle.ids import position, reward_prefix
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot


@dataclass(frozen=True, slots=True)
class Accrual:
    """The rewards of a conversion."""

    conversion: Conversion
    rewards: tuple[Reward, ...]


def accrue(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> Accrual:
    """The rewards of a conversion, as if nothing had been taken back yet: reversals follow as revisions."""
    return post(plan, conversion, pay(plan, conversion, snapshot))


def post(plan: Plan, conversion: Conversion, paid: Iterable[Owed]) -> Accrual:
    """The rewards for the amounts that are owed."""
    program_id, conversion_id, record_time = conversion.program_id, conversion.conversion_id, conversion.record_time
    prefix = reward_prefix(conversion)
    version, rewards = plan.version, []
    last, ordinal, rule_id, asset, hold_until = None, 0, "", "", None
    for rule, level, beneficiary_id, amount_minor, is_share in paid:
        if rule is not last:
            last, ordinal, rule_id, asset = rule, rule.ordinal, rule.rule_id, rule.asset.code
            hold_until = held_until(rule, conversion)
        rewards.append(
            new_reward((
                prefix + position(ordinal, level, is_share), program_id, conversion_id, rule_id, beneficiary_id,
                BUYER_LEVEL if is_share else level, asset, amount_minor, hold_until, version, record_time,
            ))
        )  # fmt: skip
    return Accrual(conversion, tuple(rewards))
