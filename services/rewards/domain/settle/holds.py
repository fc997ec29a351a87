"""Holds: what held rewards wait for, and how a hold ends, by a release or by a person's rejection.

A hold that waits for time ends at its time. One that waits for a later event of the buyer's, or for a person's
approval, ends nobody knows when, so its rewards have a mark in place of an end: a time that never comes, another for
each rule, for the rules of one conversion may wait for different things.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion, ConversionKey
from services.rewards.domain.ledger import AccountKind, Reward, Transfer, TransferKind
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.settle.clawback import PostedReward, Revision
from services.rewards.domain.settle.ids import PREFIX_DIGITS, id_prefix, release_cause

NEVER = datetime(9000, 1, 1, tzinfo=UTC)
TARGET = "conversion_id"
"""The attribute by which an event names the one conversion it is meant for."""


class Wait(NamedTuple):
    """Everything that the rewards of one rule for one conversion wait for."""

    program_id: str
    conversion_id: str
    mark: datetime
    rule_id: str
    buyer_id: str
    event_type: str
    """The type of the event that they wait for; empty for none."""
    needs_approval: bool
    earliest: datetime
    """The hold does not end before that, whatever happens."""
    occurred_at: datetime
    """When the conversion happened: an event that names no conversion ends the holds of those before it."""


class Signal(NamedTuple):
    """An event that holds wait for."""

    program_id: str
    conversion_id: str
    """The id of the event's own conversion."""
    buyer_id: str
    event_type: str
    target_id: str
    """The conversion that the event is meant for; empty for all of the buyer's until then."""
    occurred_at: datetime
    record_time: datetime


class EndedHold(NamedTuple):
    """A hold that is over."""

    program_id: str
    conversion_id: str
    mark: datetime
    rule_id: str
    time: datetime

    @property
    def key(self) -> ConversionKey:
        """The conversion whose rewards were held."""
        return self.program_id, self.conversion_id


class Rejection(NamedTuple):
    """A person's no to all rewards of one conversion that waited for approval: nothing is left of those of these
    rules."""

    program_id: str
    conversion_id: str
    rule_ids: tuple[str, ...]
    time: datetime


def mark(rule: Rule) -> datetime:
    """The time that stands for the end of a hold that has none."""
    return NEVER + timedelta(microseconds=rule.ordinal)


def is_mark(hold_until: datetime | None) -> bool:
    """Whether a time stands for the end of a hold that has none."""
    return hold_until is not None and hold_until >= NEVER


def waits_of(plan: Plan, conversion: Conversion, rewards: Iterable[Reward]) -> list[Wait]:
    """The waits of a conversion's rewards, one for each rule."""
    marked = {each.hold_until for each in rewards if is_mark(each.hold_until)}
    return [
        Wait(
            conversion.program_id,
            conversion.conversion_id,
            mark(rule),
            rule.rule_id,
            conversion.buyer_id,
            hold.until_event,
            hold.approval,
            max(conversion.record_time, conversion.occurred_at + (hold.duration or timedelta())),
            conversion.occurred_at,
        )
        for rule in plan.event_rules(conversion.event_type).rules
        if (hold := rule.hold) is not None and hold.waits and mark(rule) in marked
    ]


def signal_of(conversion: Conversion) -> Signal:
    """A conversion as an event that holds wait for."""
    return Signal(
        conversion.program_id,
        conversion.conversion_id,
        conversion.buyer_id,
        conversion.event_type,
        conversion.read_details().attributes.get(TARGET, ""),
        conversion.occurred_at,
        conversion.record_time,
    )


def hold_end(rule: Rule, conversion: Conversion) -> datetime | None:
    """When a rule's hold on a conversion ends; None if there is none, or it ended before the conversion was
    recorded."""
    if rule.hold is None or rule.hold.duration is None:
        return None
    end = conversion.occurred_at + rule.hold.duration
    return end if end > conversion.record_time else None


def held_until(rule: Rule, conversion: Conversion) -> datetime | None:
    """The end of a rule's hold on a conversion, or the mark of a hold that has none; None where nothing is held."""
    return mark(rule) if rule.waits else hold_end(rule, conversion)


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
            prefix + each.reward.reward_id[PREFIX_DIGITS:],
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
