"""Facts about people as they go to the stream."""

from collections.abc import Sequence
from datetime import datetime

from upline.attribution.v1 import people_pb2

from chassis import tracing
from chassis.ids import new_id
from chassis.stream import Message
from chassis.times import to_timestamp, write_timestamp
from chassis.topology import PEOPLE
from services.attribution.domain.links import Code, Link, ShareRecord, StoredShare
from services.attribution.domain.participant import ChangedAttributes, Enrolment, NewBond
from services.attribution.wire.links import LinkAddress, code_message, link_message
from services.attribution.wire.participants import write_bond, write_enrolment

MAX_EVENTS = 500
"""The most events of one message, so that a reader settles it within a moment; a call may enrol twice as many."""
MAX_PAYLOAD_BYTES = 960 * 1024
"""The length of all events of one message together: a broker accepts 1 MiB by default, headers included. The longest
event is one of 50 attributes with 320 characters each, 64 kB."""

PersonFact = Enrolment | ChangedAttributes | NewBond


def people_changed(
    program_id: str,
    enrolments: Sequence[Enrolment],
    changes: Sequence[ChangedAttributes],
    bindings: Sequence[NewBond],
    record_time: datetime,
) -> list[Message]:
    """The messages of all that one call changed of people: of each of them, enrolments come first, bonds last."""
    facts: list[PersonFact] = [*enrolments, *changes, *bindings]
    trace_id = tracing.current() if facts else ""
    messages: list[Message] = []
    for first in range(0, len(facts), MAX_EVENTS):
        batch = people_pb2.ParticipantEventBatch()
        for number, fact in enumerate(facts[first : first + MAX_EVENTS], start=first + 1):
            event = batch.events.add(program_id=program_id, participant_id=fact.participant_id, trace_id=trace_id)
            write_timestamp(event.record_time, record_time)
            event.call_place.call_key, event.call_place.number = facts[0].key, number
            _write(event, fact)
        messages += _messages(batch)
    return messages


def link_made(link: Link, address: LinkAddress) -> list[Message]:
    """The message of one link."""
    event = people_pb2.ParticipantEvent(
        event_id=f"link:{link.program_id}/{link.link_id}",
        record_time=to_timestamp(link.create_time),
        program_id=link.program_id,
        participant_id=link.participant_id,
        link_made=people_pb2.LinkMade(link=link_message(link, address)),
    )
    return _message(event)


def code_made(code: Code) -> list[Message]:
    """The message of one code."""
    event = people_pb2.ParticipantEvent(
        event_id=f"code:{code.program_id}/{code.code}",
        record_time=to_timestamp(code.create_time),
        program_id=code.program_id,
        participant_id=code.participant_id,
        code_made=people_pb2.CodeMade(code=code_message(code)),
    )
    return _message(event)


def shared(share: ShareRecord, stored: StoredShare) -> list[Message]:
    """The message of one share."""
    event = people_pb2.ParticipantEvent(
        event_id=f"share:{share.program_id}/{stored.share_id}",
        record_time=to_timestamp(stored.create_time),
        program_id=share.program_id,
        participant_id=share.participant_id,
        shared=people_pb2.ParticipantShared(
            channel=share.channel, link_id=share.link_id, code=share.code, share_count=stored.share_count
        ),
    )
    return _message(event)


def _write(event: people_pb2.ParticipantEvent, fact: PersonFact) -> None:
    name = f"{event.program_id}/{fact.participant_id}"
    match fact:
        case Enrolment():
            event.event_id = f"enrolled:{name}"
            write_enrolment(event.enrolled.participant, event.program_id, fact)
        case ChangedAttributes():
            event.event_id = f"attributes:{name}/{fact.revision}"
            event.attributes_changed.attributes.update(fact.attributes)
            event.attributes_changed.revision = fact.revision
        case NewBond():
            event.event_id = f"bound:{name}"
            write_bond(event.bound.binding, fact.bond)


def _message(event: people_pb2.ParticipantEvent) -> list[Message]:
    event.trace_id = tracing.current()
    return _messages(people_pb2.ParticipantEventBatch(events=[event]))


def _messages(batch: people_pb2.ParticipantEventBatch) -> list[Message]:
    """Messages with all of a batch in its order: more than one where it is too long."""
    payload = batch.SerializeToString()
    if len(payload) > MAX_PAYLOAD_BYTES:
        middle = len(batch.events) // 2
        halves = (batch.events[:middle], batch.events[middle:])
        return [each for half in halves for each in _messages(people_pb2.ParticipantEventBatch(events=half))]
    return [Message(PEOPLE.subject, new_id().hex, batch.DESCRIPTOR.full_name, payload)]
