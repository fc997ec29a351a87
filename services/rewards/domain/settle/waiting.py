"""Holds that wait for more than time: for a later event of the buyer's, for a person's approval.

Nobody knows when such a hold ends, so its rewards have a mark in place of an end: a time that never comes, another for
each rule, for the rules of one conversion may wait for different things.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion, ConversionKey
from services.rewards.domain.ledger import Reward
from services.rewards.domain.plan.plan import Plan, Rule

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
