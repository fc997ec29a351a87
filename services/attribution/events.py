"""Facts about conversions as they go to the stream."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from upline.attribution.v1 import events_pb2

from chassis import tracing
from chassis.comparison import Fact
from chassis.ids import new_id
from chassis.stream import Message
from chassis.times import to_timestamp
from chassis.topology import CONVERSIONS
from services.attribution.domain.conversion import AttributedConversion, Conversion, UplineMember
from services.attribution.domain.policy import Program
from services.attribution.domain.reversal import Reversal
from services.attribution.wire.conversions import conversion_message
from services.attribution.wire.reversals import reversal_message

MAX_EVENTS = 1_000
"""The number of events of one message: as many as the conversions that one call records, so that they stay together and
are settled in their order."""
MAX_PAYLOAD_BYTES = 960 * 1024
"""The length of all events of one message together, and so of a single one: a broker accepts 1 MiB by default, headers
included."""


def upline_members(members: Mapping[int, UplineMember]) -> dict[int, events_pb2.UplineMember]:
    """Ancestors as events have them, by key: made once a batch, for a sponsor stands in many an upline."""
    return {
        key: events_pb2.UplineMember(participant_id=each.participant_id, attributes=each.attributes)
        for key, each in members.items()
    }


def conversion_recorded(
    program: Program,
    attributed: AttributedConversion,
    conversion: Conversion,
    members: Mapping[int, events_pb2.UplineMember],
    record_time: datetime,
) -> events_pb2.ConversionEvent:
    """The event of one conversion. It leaves losing candidates out, for no payout depends on them."""
    event = events_pb2.ConversionEvent(
        event_id=f"conversion:{program.program_id}/{conversion.conversion_id}", record_time=to_timestamp(record_time)
    )
    recorded = event.recorded
    recorded.conversion.CopyFrom(conversion_message(program.program_id, program.currency_code, conversion))
    recorded.conversion.attribution.ClearField("losers")
    if attributed.buyer_attributes:
        recorded.buyer_attributes.update(attributed.buyer_attributes)
    if attributed.bound_at is not None:
        recorded.bind_time.CopyFrom(to_timestamp(attributed.bound_at))
    recorded.upline.extend([members[key] for key in attributed.upline])
    recorded.share_percent = attributed.share_percent
    if (touch := attributed.attribution.touch) is not None:
        recorded.link_owner_id = touch.referrer_id
        recorded.link_share_percent = touch.share_percent
        if all(member.participant_id != touch.referrer_id for member in recorded.upline):
            recorded.link_owner_attributes.update(attributed.link_owner_attributes)
    return event


def conversion_reversed(program: Program, reversal: Reversal, record_time: datetime) -> events_pb2.ConversionEvent:
    """The event of one reversal."""
    return events_pb2.ConversionEvent(
        event_id=f"reversal:{program.program_id}/{reversal.reversal_id}",
        record_time=to_timestamp(record_time),
        reversed=events_pb2.ConversionReversed(reversal=reversal_message(program.program_id, reversal)),
    )


def messages(call_key: int, events: Sequence[events_pb2.ConversionEvent]) -> list[Message]:
    """Stream messages that hold all that one call recorded, in its order; each event tells its place in the call.

    `call_key` is the key of the call's first fact. All have the trace of the call.
    """
    trace_id = tracing.current()
    cut: list[events_pb2.ConversionEventBatch] = []
    batch_bytes = 0
    for number, event in enumerate(events, start=1):
        fact = event.recorded if event.HasField("recorded") else event.reversed
        fact.call_place.call_key, fact.call_place.number = call_key, number
        fact.trace_id = trace_id
        size = event.ByteSize()
        if not cut or len(cut[-1].events) == MAX_EVENTS or batch_bytes + size > MAX_PAYLOAD_BYTES:
            cut.append(events_pb2.ConversionEventBatch())
            batch_bytes = 0
        cut[-1].events.append(event)
        batch_bytes += size
    return [
        Message(CONVERSIONS.subject, new_id().hex, batch.DESCRIPTOR.full_name, batch.SerializeToString())
        for batch in cut
    ]


def told_facts(payload: bytes) -> list[Fact]:
    """The facts that a message tells."""
    return [Fact(_program_id(each), each.event_id) for each in _events(payload)]


def only(payload: bytes, event_ids: Collection[str]) -> bytes:
    """A message with those of its events that have one of the ids."""
    events = [each for each in _events(payload) if each.event_id in event_ids]
    return events_pb2.ConversionEventBatch(events=events).SerializeToString()


def _events(payload: bytes) -> Sequence[events_pb2.ConversionEvent]:
    return events_pb2.ConversionEventBatch.FromString(payload).events


def _program_id(event: events_pb2.ConversionEvent) -> str:
    if event.HasField("recorded"):
        return event.recorded.conversion.program_id
    return event.reversed.reversal.program_id
