"""Reward events as they come from the stream."""

from google.protobuf.message import DecodeError
from upline.rewards.v1 import events_pb2
from upline.type.v1 import asset_pb2

from chassis.comparison import Fact
from chassis.times import to_datetime
from services.notify.domain.cause import Asset, Cause, Change, Earning, UnusableEventError


def read_told_facts(payload: bytes) -> list[Fact]:
    """The facts that a message tells, by their names only; none where it cannot be read."""
    try:
        events = events_pb2.RewardEventBatch.FromString(payload).events
    except DecodeError:
        return []
    return [Fact(each.program_id, each.event_id) for each in events]


def read_cause(event: events_pb2.RewardEvent) -> Cause:
    """The event as the domain knows it. Raises UnusableEventError if it breaks its contract."""
    if not (event.event_id and event.program_id):
        raise UnusableEventError("an event has no event_id or no program_id")
    try:
        return Cause(
            event_id=event.event_id,
            program_id=event.program_id,
            conversion_id=event.conversion_id,
            event_type=event.event_type,
            buyer_id=event.buyer_id,
            change=Change(event.change),
            occurred_at=to_datetime(event.occurred_at),
            assets=tuple(_asset(each) for each in event.assets),
            earnings=_earnings(event),
            contest_id=event.contest_id,
            reason=event.reason,
            trace_id=event.trace_id,
        )
    except ValueError as error:
        raise UnusableEventError(f"event {event.event_id!r}: {error}") from error


def _asset(asset: asset_pb2.Asset) -> Asset:
    return Asset(asset.code, asset.kind == asset_pb2.ASSET_KIND_MONEY, asset.minor_digits)


def _earnings(event: events_pb2.RewardEvent) -> tuple[Earning, ...]:
    known = {each.code for each in event.assets}
    earnings = []
    for each in event.earnings:
        beneficiary, asset, amount_minor = each.beneficiary_id, each.asset, each.amount_minor
        if not beneficiary or amount_minor <= 0 or asset not in known:
            raise UnusableEventError(
                f"earning {each.reward_id!r} has no beneficiary, no amount or an asset that is not described"
            )
        hold_until = to_datetime(each.hold_until) if each.HasField("hold_until") else None
        if event.change == events_pb2.REWARD_CHANGE_EXPIRING:
            hold_until = to_datetime(each.expire_time)
        earnings.append(Earning(beneficiary, each.level, asset, amount_minor, hold_until, each.waits, each.rank))
    return tuple(earnings)
