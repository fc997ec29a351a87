"""Postings: the rewards and transfers of a new conversion, a reversal or the end of a hold, made of decisions."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.decide.decision import slot_of
from services.rewards.domain.decide.pay import Owed, pay
from services.rewards.domain.ledger import AccountKind, Reward, Transfer, TransferKind, new_reward
from services.rewards.domain.plan.plan import BUYER_LEVEL, Plan, Rule
from services.rewards.domain.settle.waiting import EndedHold, Rejection, mark
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_ORDINAL_BITS = 16
_HASH_BITS = 58
_PREFIX_DIGITS = 28
FIRST_POSITION, LAST_POSITION = "0000", "ffff"


@dataclass(frozen=True, slots=True)
class Accrual:
    """The rewards of a conversion."""

    conversion: Conversion
    rewards: tuple[Reward, ...]


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


def id_prefix(time: datetime, *names: str) -> str:
    """The first 28 hexadecimal digits of UUIDv8s (RFC 9562 §5.8): 48 bits of time, 58 bits of a hash of `names`, with
    the version and the variant between them. The last four digits tell apart the ids of the same names.

    The same names at the same time give the same ids, so a replay gives the same ledger, and a conversion's rewards
    are neighbours in the index.

    """
    digest = int.from_bytes(hashlib.blake2b("\x1f".join(names).encode(), digest_size=8).digest())
    tail = (digest >> (64 - _HASH_BITS)) << _ORDINAL_BITS
    high = ((time - _EPOCH) // _MILLISECOND & 0xFFFF_FFFF_FFFF) << 16 | 0x8000 | tail >> 62
    return f"{high << 64 | 0x8000_0000_0000_0000 | tail & 0x3FFF_FFFF_FFFF_FFFF:032x}"[:_PREFIX_DIGITS]


def reward_prefix(conversion: Conversion) -> str:
    """The first digits of the ids of the conversion's rewards."""
    return _reward_prefix(conversion.record_time, conversion.program_id, conversion.conversion_id)


@lru_cache(maxsize=4_096)  # asked for by the conversion's row, its rewards, and what is taken back of them
def _reward_prefix(record_time: datetime, program_id: str, conversion_id: str) -> str:
    return id_prefix(record_time, program_id, "conversion", conversion_id)


def first_reward_id(reward_id: str) -> str:
    """The first id a reward of the same conversion can have."""
    return reward_id[:_PREFIX_DIGITS] + FIRST_POSITION


@cache
def position(ordinal: int, level: int, is_share: bool) -> str:
    """The last digits of the id of a reward, by its rule's ordinal and its level. The ids of its transfers end
    alike."""
    return f"{slot_of(ordinal, level, is_share):04x}"


def conversion_cause(program_id: str, conversion_id: str) -> str:
    """The id of the event that a conversion was recorded."""
    return f"conversion:{program_id}/{conversion_id}"


def reversal_cause(program_id: str, reversal_id: str) -> str:
    """The id of the event that a conversion was taken back."""
    return f"reversal:{program_id}/{reversal_id}"


def release_cause(program_id: str, conversion_id: str, due_time: datetime) -> str:
    """The id of the event that a hold ended."""
    return f"release:{program_id}/{conversion_id}/{(due_time - _EPOCH) // _MICROSECOND}"


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
            hold_until = _held_until(rule, conversion)
        rewards.append(
            new_reward((
                prefix + position(ordinal, level, is_share), program_id, conversion_id, rule_id, beneficiary_id,
                BUYER_LEVEL if is_share else level, asset, amount_minor, hold_until, version, record_time,
            ))
        )  # fmt: skip
    return Accrual(conversion, tuple(rewards))


def hold_end(rule: Rule, conversion: Conversion) -> datetime | None:
    """When a rule's hold on a conversion ends; None if there is none, or it ended before the conversion was
    recorded."""
    if rule.hold is None:
        return None
    end = conversion.occurred_at + rule.hold
    return end if end > conversion.record_time else None


def _held_until(rule: Rule, conversion: Conversion) -> datetime | None:
    return mark(rule) if rule.waits else hold_end(rule, conversion)


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
        taken_minor = each.net_minor - wanted.get(reward.reward_id[_PREFIX_DIGITS:], 0)
        if taken_minor <= 0:
            continue
        revisions.append(Revision(reward, reversal.reversal_id, -taken_minor, reversal.record_time))
        transfers.append(
            Transfer(
                prefix + reward.reward_id[_PREFIX_DIGITS:],
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


def sibling_transfer_id(reversal: Reversal, what: str, transfer_id: str) -> str:
    """The id of another transfer of a reversal, for the reward of a transfer that there is."""
    prefix = id_prefix(reversal.record_time, reversal.program_id, what, reversal.reversal_id)
    return prefix + transfer_id[_PREFIX_DIGITS:]


def release(
    program_id: str, conversion_id: str, due_time: datetime, posted: Sequence[PostedReward]
) -> tuple[Transfer, ...]:
    """Moves the rest of a conversion's rewards from held to available when their hold ends."""
    prefix = id_prefix(due_time, program_id, "release", conversion_id)
    cause = release_cause(program_id, conversion_id, due_time)
    return _out_of_hold(TransferKind.RELEASE, AccountKind.AVAILABLE, prefix, cause, posted)


def release_ended(ended: EndedHold, posted: Sequence[PostedReward]) -> tuple[Transfer, ...]:
    """Moves the rest of rewards from held to available when a hold ends that waited for more than time."""
    prefix = id_prefix(ended.time, ended.program_id, "release", ended.conversion_id, ended.rule_id)
    cause = f"release:{ended.program_id}/{ended.conversion_id}/{ended.rule_id}"
    return _out_of_hold(TransferKind.RELEASE, AccountKind.AVAILABLE, prefix, cause, posted)


def reject_rewards(
    rejection: Rejection, posted: Sequence[PostedReward]
) -> tuple[tuple[Revision, ...], tuple[Transfer, ...]]:
    """Takes the rest of held rewards away, because a person said no. `posted`: all of the conversion's rewards."""
    program_id, conversion_id, rule_ids, time = rejection
    transfers: list[Transfer] = []
    for rule_id in rule_ids:
        prefix = id_prefix(time, program_id, "rejection", conversion_id, rule_id)
        rejected = [each for each in posted if each.reward.rule_id == rule_id]
        cause = f"rejection:{program_id}/{conversion_id}"
        transfers += _out_of_hold(TransferKind.REJECTION, AccountKind.ISSUANCE, prefix, cause, rejected)
    rewards = {each.reward.reward_id: each.reward for each in posted}
    revisions = (Revision(rewards[each.reward_id], "", -each.amount_minor, time) for each in transfers)
    return tuple(revisions), tuple(transfers)


def _out_of_hold(
    kind: TransferKind, target: AccountKind, prefix: str, cause: str, posted: Sequence[PostedReward]
) -> tuple[Transfer, ...]:
    return tuple(
        Transfer(
            prefix + each.reward.reward_id[_PREFIX_DIGITS:],
            each.reward.program_id,
            kind,
            each.reward.beneficiary_id,
            AccountKind.HELD,
            target,
            each.reward.asset,
            each.net_minor,
            each.reward.reward_id,
            cause,
        )
        for each in posted
        if each.net_minor > 0
    )
