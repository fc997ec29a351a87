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
from services.attribution.domain.participant import ChangedAttributes, Enrolment, NewBond, StoredPerson
from services.attribution.wire.links import LinkAddress, code_message, link_message
from services.attribution.wire.participants import participant_message, write_bond, write_enrolment

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


def people_told(people: Sequence[StoredPerson]) -> list[Message]:
    """The messages of all that is told again of people, as they are now: their enrolment, the last change of their
    attributes, if there was one, and their bond."""
    batch = people_pb2.ParticipantEventBatch()
    for each in people:
        person, program_id = each.participant, each.program_id
        event = batch.events.add(program_id=program_id, participant_id=person.participant_id)
        event.event_id = f"enrolled:{program_id}/{person.participant_id}"
        write_timestamp(event.record_time, person.create_time)
        event.enrolled.participant.CopyFrom(participant_message(program_id, person))
        if each.attributes_revision:
            _write(
                batch.events.add(program_id=program_id, participant_id=person.participant_id),
                ChangedAttributes(person.key, person.participant_id, person.attributes, each.attributes_revision),
            )
        if person.bond is not None:
            _write(
                batch.events.add(program_id=program_id, participant_id=person.participant_id),
                NewBond(person.key, person.participant_id, 0, (), person.bond),
            )
    return _messages(batch)


def links_made(links: Sequence[Link], address: LinkAddress) -> list[Message]:
    """The messages of links."""
    return _traced([_link_made(each, address) for each in links])


def codes_made(codes: Sequence[Code]) -> list[Message]:
    """The messages of codes."""
    return _traced([_code_made(each) for each in codes])


def all_shared(shares: Sequence[tuple[ShareRecord, StoredShare]]) -> list[Message]:
    """The messages of shares."""
    return _traced([_shared(*each) for each in shares])


def _link_made(link: Link, address: LinkAddress) -> people_pb2.ParticipantEvent:
    return people_pb2.ParticipantEvent(
        event_id=f"link:{link.program_id}/{link.link_id}",
        record_time=to_timestamp(link.create_time),
        program_id=link.program_id,
        participant_id=link.participant_id,
        link_made=people_pb2.LinkMade(link=link_message(link, address)),
    )


def _code_made(code: Code) -> people_pb2.ParticipantEvent:
    return people_pb2.ParticipantEvent(
        event_id=f"code:{code.program_id}/{code.code}",
        record_time=to_timestamp(code.create_time),
        program_id=code.program_id,
        participant_id=code.participant_id,
        code_made=people_pb2.CodeMade(code=code_message(code)),
    )


def _shared(share: ShareRecord, stored: StoredShare) -> people_pb2.ParticipantEvent:
    return people_pb2.ParticipantEvent(
        event_id=f"share:{share.program_id}/{stored.share_id}",
        record_time=to_timestamp(stored.create_time),
        program_id=share.program_id,
        participant_id=share.participant_id,
        shared=people_pb2.ParticipantShared(
            channel=share.channel, link_id=share.link_id, code=share.code, share_count=stored.share_count
        ),
    )


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


def _traced(events: Sequence[people_pb2.ParticipantEvent]) -> list[Message]:
    """The messages of events, with the trace of the call that they are told by, if it is one."""
    trace_id = tracing.current()
    for each in events:
        each.trace_id = trace_id
    return _messages(people_pb2.ParticipantEventBatch(events=events))


def _messages(batch: people_pb2.ParticipantEventBatch) -> list[Message]:
    """Messages with all of a batch in its order: more than one where it is too long."""
    payload = batch.SerializeToString()
    if not payload:
        return []
    if len(payload) > MAX_PAYLOAD_BYTES:
        middle = len(batch.events) // 2
        halves = (batch.events[:middle], batch.events[middle:])
        return [each for half in halves for each in _messages(people_pb2.ParticipantEventBatch(events=half))]
    return [Message(PEOPLE.subject, new_id().hex, batch.DESCRIPTOR.full_name, payload)]
