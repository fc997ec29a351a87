"""Holds that wait for more than time: for a later event of the buyer's, for a person's approval.

Nobody knows when such a hold ends, so its rewards have a mark in place of an end: a time that never comes, another for each rule, for the
rules of one conversion may wait for different things.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.ledger import Reward
from services.rewards.domain.plan.plan import Plan, Rule

NEVER = datetime(9000, 1, 1, tzinfo=UTC)
TARGET = "conversion_id"
"""The attribute by which an event names the one conversion it is meant for."""


class Wait(NamedTuple):
    """What the rewards of one rule for one conversion wait for. All of it must be."""

    program_id: str
    conversion_id: str
    mark: datetime
    rule_id: str
    buyer_id: str
    event_type: str
    """Empty for no event."""
    needs_approval: bool
    earliest: datetime
    """Before that it does not end, whatever happens."""
    occurred_at: datetime
    """Of the conversion: an event that names none ends the holds of those before it."""


class Signal(NamedTuple):
    """An event that holds wait for."""

    program_id: str
    conversion_id: str
    """Its own id."""
    buyer_id: str
    event_type: str
    target_id: str
    """The conversion it is meant for; empty for all of the buyer's until then."""
    occurred_at: datetime
    record_time: datetime


class EndedHold(NamedTuple):
    """A hold that is over."""

    program_id: str
    conversion_id: str
    mark: datetime
    rule_id: str
    time: datetime


class Rejection(NamedTuple):
    """A person's refusal of what waited for approval of one conversion, whole: of each of these rules nothing is left."""

    program_id: str
    conversion_id: str
    rule_ids: tuple[str, ...]
    time: datetime


def mark(rule: Rule) -> datetime:
    """What stands for the end of a hold that has none."""
    return NEVER + timedelta(microseconds=rule.ordinal)


def is_mark(hold_until: datetime | None) -> bool:
    """Whether it is no time at which a hold ends."""
    return hold_until is not None and hold_until >= NEVER


def waits_of(plan: Plan, conversion: Conversion, rewards: Iterable[Reward]) -> list[Wait]:
    """What the rewards of a conversion wait for, once for each rule."""
    marked = {each.hold_until for each in rewards if is_mark(each.hold_until)}
    return [
        Wait(
            conversion.program_id,
            conversion.conversion_id,
            mark(rule),
            rule.rule_id,
            conversion.buyer_id,
            rule.until_event,
            rule.approval,
            max(conversion.record_time, conversion.occurred_at + (rule.hold or timedelta())),
            conversion.occurred_at,
        )
        for rule in plan.event_rules(conversion.event_type).rules
        if rule.waits and mark(rule) in marked
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
