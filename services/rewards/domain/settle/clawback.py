"""Clawbacks: the part of posted rewards that a reversal takes back, at every level."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.decide.pay import pay
from services.rewards.domain.ledger import AccountKind, Reward, Transfer, TransferKind
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.ids import PREFIX_DIGITS, id_prefix, position, reversal_cause
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot


@dataclass(frozen=True, slots=True)
class PostedReward:
    """A reward as it stands before a reversal."""

    reward: Reward
    net_minor: int
    account_kind: AccountKind
    """The account of its beneficiary where its value is."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of one reward by a reversal, or by a person who rejects it; `delta_minor` < 0."""

    reward: Reward
    reversal_id: str
    """The reversal; empty where a person rejected the reward."""
    delta_minor: int
    record_time: datetime


@dataclass(frozen=True, slots=True)
class Clawback:
    """The revisions and transfers by which one reversal takes rewards back, at every level."""

    conversion: Conversion
    """The rest of the conversion after the reversal."""
    reversal: Reversal
    revisions: tuple[Revision, ...]
    transfers: tuple[Transfer, ...]


def claw_back(
    plan: Plan,
    conversion: Conversion,
    earlier: Sequence[Reversal],
    reversal: Reversal,
    posted: Sequence[PostedReward],
    snapshot: Snapshot = EMPTY,
) -> Clawback:
    """Decides the rest of the conversion after `earlier` and `reversal`, and takes back the difference to posted
    rewards.

    Exact at every level, and zero at the end: the last reversal leaves nothing to pay for.

    """
    left = after(conversion, [*earlier, reversal])
    wanted = {
        position(rule.ordinal, level, is_share): amount_minor
        for rule, level, _, amount_minor, is_share in pay(plan, left, snapshot)
    }
    prefix = id_prefix(reversal.record_time, reversal.program_id, "reversal", reversal.reversal_id)
    cause = reversal_cause(reversal.program_id, reversal.reversal_id)
    revisions = []
    transfers = []
    for each in posted:
        reward = each.reward
        taken_minor = each.net_minor - wanted.get(reward.reward_id[PREFIX_DIGITS:], 0)
        if taken_minor <= 0:
            continue
        revisions.append(Revision(reward, reversal.reversal_id, -taken_minor, reversal.record_time))
        transfers.append(
            Transfer(
                prefix + reward.reward_id[PREFIX_DIGITS:],
                reward.program_id,
                TransferKind.REVERSAL,
                reward.beneficiary_id,
                each.account_kind,
                AccountKind.ISSUANCE,
                reward.asset,
                taken_minor,
                reward.reward_id,
                cause,
            )
        )
    return Clawback(left, reversal, tuple(revisions), tuple(transfers))


def revised(posted: Iterable[PostedReward], revisions: Iterable[Revision]) -> list[PostedReward]:
    """The rewards as they stand after revisions."""
    deltas = {each.reward.reward_id: each.delta_minor for each in revisions}
    return [
        PostedReward(each.reward, each.net_minor + deltas.get(each.reward.reward_id, 0), each.account_kind)
        for each in posted
    ]
