"""Facts about people leave on stream PEOPLE, as they were stored."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import nats
import psycopg
import pytest_asyncio
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import text
from upline.attribution.v1 import events_pb2, link_pb2, participant_pb2, people_pb2

from chassis.clock import ManualClock
from chassis.supplying import Supplier
from chassis.tasks import cancel_all
from chassis.times import to_timestamp
from chassis.topology import PEOPLE, StreamSpec, supply_stream
from services.attribution.people_events import MAX_EVENTS, MAX_PAYLOAD_BYTES
from services.attribution.queries.people_history import tell_people
from services.attribution.wire.links import LinkAddress
from tests.conftest import Servers
from tests.flow import becomes
from tests.integration.attribution.people import TIMEOUT, Caller, ago, order, refused, request_id

Program = Callable[..., Awaitable[Caller]]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
METADATA = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)


@dataclass
class Reader:
    """Somebody who reads the stream from now on."""

    subscription: JetStreamContext.PullSubscription

    async def messages(self, caller: Caller) -> list[people_pb2.ParticipantEventBatch]:
        """The messages of a program that came since, in the order of the stream."""
        await becomes(caller.unpublished, 0)
        batches = []
        while (await self.subscription.consumer_info()).num_pending:
            for each in await self.subscription.fetch(100, timeout=TIMEOUT):
                await each.ack_sync()
                batches.append(people_pb2.ParticipantEventBatch.FromString(each.data))
        return [each for each in batches if any(event.program_id == caller.program_id for event in each.events)]

    async def events(self, caller: Caller) -> list[people_pb2.ParticipantEvent]:
        """The events of a program that came since, in the order of the stream."""
        told = [event for batch in await self.messages(caller) for event in batch.events]
        return [event for event in told if event.program_id == caller.program_id]


@pytest_asyncio.fixture
async def reader(servers: Servers, attribution: object) -> AsyncIterator[Reader]:
    """A reader of the stream."""
    client = await nats.connect(servers.nats.url)
    jetstream, durable = client.jetstream(), f"test-{uuid4().hex}"
    try:
        yield Reader(await jetstream.pull_subscribe(PEOPLE.subject, durable, stream=PEOPLE.name))
    finally:
        await jetstream.delete_consumer(PEOPLE.name, durable)
        await client.close()


def names(caller: Caller, events: list[people_pb2.ParticipantEvent]) -> list[str]:
    """The ids of events, without what they have in common."""
    return [each.event_id.replace(f"{caller.program_id}/", "") for each in events]


async def test_enrolments_are_told_as_they_are_stored(program: Program, reader: Reader, clock: ManualClock) -> None:
    caller = await program()
    at = clock.now() - timedelta(days=3)
    request = participant_pb2.EnrollParticipantsRequest(
        request_id=request_id(),
        program_id=caller.program_id,
        participants=[
            participant_pb2.ParticipantDraft(participant_id="olga", attributes={"tier": "gold"}),
            participant_pb2.ParticipantDraft(participant_id="maria", sponsor_id="olga", bind_time=to_timestamp(at)),
            participant_pb2.ParticipantDraft(participant_id="lost", code="NOWHERE22"),
        ],
    )
    for _ in range(2):
        await caller.people.EnrollParticipants(request, timeout=TIMEOUT, metadata=METADATA)
    events = await reader.events(caller)
    assert names(caller, events) == ["enrolled:olga", "enrolled:maria", "enrolled:lost"]
    for number, event in enumerate(events, start=1):
        stored = await caller.get(event.participant_id)
        assert event.enrolled.participant == stored
        assert (event.program_id, event.trace_id, event.record_time) == (caller.program_id, TRACE, stored.create_time)
        assert event.call_place == events_pb2.CallPlace(call_key=events[0].call_place.call_key, number=number)
    assert events[0].call_place.call_key > 0
    assert events[1].enrolled.participant.binding.bind_time == to_timestamp(at)


async def test_changed_attributes_are_told_with_their_revision(program: Program, reader: Reader) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"tier": "iron"})

    async def update(attributes: dict[str, str], request: str = "") -> None:
        await caller.people.UpdateParticipant(
            participant_pb2.UpdateParticipantRequest(
                request_id=request or request_id(),
                program_id=caller.program_id,
                participant_id="olga",
                attributes=attributes,
            ),
            timeout=TIMEOUT,
        )

    again = request_id()
    await update({"tier": "gold", "city": "Пермь"}, again)
    await update({"tier": "gold", "city": "Пермь"}, again)
    await update({"city": "Пермь", "tier": "gold"})  # changes nothing
    await update({})
    events = (await reader.events(caller))[1:]
    assert names(caller, events) == ["attributes:olga/1", "attributes:olga/2"]
    assert [(dict(each.attributes_changed.attributes), each.attributes_changed.revision) for each in events] == [
        ({"tier": "gold", "city": "Пермь"}, 1),
        ({}, 2),
    ]


async def test_bonds_are_told_with_how_and_when(program: Program, reader: Reader, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll_line(["olga"])
    code = await caller.code("olga", "25")
    clicked = await caller.token("olga", clock.now() - timedelta(minutes=10))
    for each in ("direct", "typed", "followed"):
        await caller.enroll(each)
    await caller.bind("direct", "olga", bind_time=ago(clock.now(), days=2))
    await caller.record(order("typing", "typed", code=code))
    await caller.record(order("following", "followed", click_token=clicked))
    events = {each.participant_id: each for each in await reader.events(caller) if each.HasField("bound")}
    assert sorted(events) == ["direct", "followed", "typed"]
    for name, event in events.items():
        assert event.event_id == f"bound:{caller.program_id}/{name}"
        assert event.bound.binding == (await caller.get(name)).binding
    assert {name: each.bound.binding.source for name, each in events.items()} == {
        "direct": participant_pb2.BIND_SOURCE_CALLER,
        "typed": participant_pb2.BIND_SOURCE_CODE,
        "followed": participant_pb2.BIND_SOURCE_CLICK,
    }


async def test_buyers_are_told_when_their_purchase_enrols_them_and_when_the_caller_takes_them_over(
    program: Program, reader: Reader
) -> None:
    caller = await program()
    await caller.enroll("olga")
    code = await caller.code("olga")
    await caller.record_all([order("first", "vera", code=code), order("second", "nina"), order("third", "nina")])
    await caller.record(order("fourth", "nina", code=code))
    await caller.enroll("vera", attributes={"tier": "gold"})
    await caller.enroll("nina")  # of whom that says nothing new
    events = (await reader.events(caller))[2:]
    assert sorted(names(caller, events)) == ["attributes:vera/1", "bound:nina", "enrolled:nina", "enrolled:vera"]
    told = {each.event_id.split(":")[0] + each.participant_id: each for each in events}
    assert told["enrolledvera"].enrolled.participant.binding == (await caller.get("vera")).binding
    assert not told["enrollednina"].enrolled.participant.HasField("binding")
    assert told["enrolledvera"].call_place.call_key == told["enrollednina"].call_place.call_key
    assert dict(told["attributesvera"].attributes_changed.attributes) == {"tier": "gold"}


async def test_links_codes_and_shares_are_told_once(program: Program, reader: Reader) -> None:
    caller = await program()
    await caller.enroll("olga")
    link = await caller.link("olga", "12.5")
    code = link_pb2.CreateCodeRequest(
        request_id=request_id(), program_id=caller.program_id, participant_id="olga", code="olga-2026", channel="print"
    )
    first_answer, made = [(await caller.links.CreateCode(code, timeout=TIMEOUT)).code for _ in range(2)]
    assert first_answer == made
    share = link_pb2.RecordShareRequest(
        request_id=request_id(), program_id=caller.program_id, participant_id="olga", channel="chat", code="Olga-2026"
    )
    for _ in range(2):
        await caller.links.RecordShare(share, timeout=TIMEOUT)
    share.request_id, share.code, share.link_id = request_id(), "", link.link_id
    await caller.links.RecordShare(share, timeout=TIMEOUT)
    _, first, second, third, fourth = await reader.events(caller)
    assert (first.event_id, first.link_made.link) == (f"link:{caller.program_id}/{link.link_id}", link)
    assert (second.event_id, second.code_made.code) == (f"code:{caller.program_id}/{made.code}", made)
    assert (first.record_time, second.record_time) == (link.create_time, made.create_time)
    assert third.shared == people_pb2.ParticipantShared(channel="chat", code=made.code, share_count=1)
    assert fourth.shared == people_pb2.ParticipantShared(channel="chat", link_id=link.link_id, share_count=2)
    assert third.event_id != fourth.event_id
    assert {each.participant_id for each in (first, second, third, fourth)} == {"olga"}


async def test_what_is_refused_is_not_told(program: Program, reader: Reader) -> None:
    caller = await program()
    await caller.enroll_line(["olga", "maria"])
    refusals: list[Callable[[], Awaitable[Any]]] = [
        partial(caller.enroll, "vera", sponsor_id="nobody"),
        partial(caller.enroll, "olga", attributes={"other": "data"}),
        partial(caller.bind, "maria", "olga"),
        partial(caller.bind, "olga", "maria"),
        partial(caller.link, "nobody"),
        partial(caller.code, "nobody"),
        partial(caller.record_all, [order("o", "newcomer"), order("o", "newcomer", 1)]),
    ]
    for each in refusals:
        async with refused():
            await each()
    assert names(caller, await reader.events(caller)) == ["enrolled:olga", "enrolled:maria"]


async def test_of_a_person_what_came_first_is_told_first(program: Program, reader: Reader) -> None:
    caller = await program()
    await caller.enroll_line(["olga"])
    await becomes(caller.unpublished, 0)
    steps: list[Callable[[], Awaitable[Any]]] = [
        partial(caller.record, order("first", "vera")),
        partial(caller.enroll, "vera", attributes={"tier": "gold"}, sponsor_id="olga"),
        partial(caller.code, "vera"),
    ]
    for each in steps:
        await each()
        await becomes(caller.unpublished, 0)
    told = [each.event_id.split(":")[0] for each in await reader.events(caller) if each.participant_id == "vera"]
    assert told == ["enrolled", "attributes", "bound", "code"]


async def test_a_call_writes_a_row_for_five_hundred_facts(program: Program, reader: Reader) -> None:
    caller = await program()
    ids = [f"p{number}" for number in range(1_000)]
    rows = await outbox_rows(caller)
    await caller.enroll_line(ids)
    assert await outbox_rows(caller) - rows == 1_000 // MAX_EVENTS
    batches = await reader.messages(caller)
    events = [each for batch in batches for each in batch.events]
    assert [each.participant_id for each in events] == ids
    assert [each.call_place.number for each in events] == list(range(1, 1_001))


async def test_long_attributes_are_told_in_more_messages(program: Program, reader: Reader) -> None:
    caller = await program()
    attributes = {f"{number:064}": "x" * 256 for number in range(50)}
    drafts = [participant_pb2.ParticipantDraft(participant_id=f"p{n}", attributes=attributes) for n in range(200)]
    await caller.people.EnrollParticipants(
        participant_pb2.EnrollParticipantsRequest(
            request_id=request_id(), program_id=caller.program_id, participants=drafts
        ),
        timeout=TIMEOUT,
    )
    batches = await reader.messages(caller)
    assert len(batches) > 1
    assert all(each.ByteSize() <= MAX_PAYLOAD_BYTES for each in batches)
    assert Counter(event.participant_id for each in batches for event in each.events) == Counter(
        each.participant_id for each in drafts
    )


async def test_a_service_of_before_finds_no_conversions_in_them(program: Program, reader: Reader) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"tier": "gold"})
    (batch,) = await reader.messages(caller)
    assert not events_pb2.ConversionEventBatch.FromString(batch.SerializeToString()).events


async def test_without_a_reader_the_stream_keeps_nothing(program: Program, servers: Servers) -> None:
    caller = await program()
    await caller.enroll("olga")
    await becomes(caller.unpublished, 0)
    client = await nats.connect(servers.nats.url)
    try:
        info = await client.jetstream().stream_info(PEOPLE.name)
    finally:
        await client.close()
    assert (info.state.consumer_count, info.state.messages) == (0, 0)


async def test_what_is_told_of_people_is_no_gap_of_rewards(program: Program, servers: Servers, rewards: object) -> None:
    caller = await program()
    await caller.enroll_line([f"p{number}" for number in range(20)])
    newest = "(SELECT max(outbox_id) FROM attribution.outbox)"
    statement = f"SELECT settled_id >= {newest} FROM attribution.reconciliation WHERE consumer = 'rewards'"

    async def compared() -> bool:
        async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
            row = await (await conn.execute(statement.encode())).fetchone()
        return bool(row and row[0])

    await becomes(compared, True)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        row = await (
            await conn.execute("SELECT count(*) FROM attribution.gap WHERE program_id IN ('', %s)", [caller.program_id])
        ).fetchone()
    assert row == (0,)


async def outbox_rows(caller: Caller) -> int:
    """How many rows the outbox has of people."""
    async with caller.running.service.database.transaction() as conn:
        found = await conn.execute(
            text("SELECT count(*) FROM outbox WHERE subject = :subject"), {"subject": PEOPLE.subject}
        )
        return int(found.scalar_one())


async def test_whoever_begins_to_read_late_is_told_everything(program: Program, servers: Servers) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"tier": "iron"})
    await caller.enroll("maria", sponsor_id="olga")
    await caller.enroll("vera")
    await caller.bind("vera", "maria")
    await caller.people.UpdateParticipant(
        participant_pb2.UpdateParticipantRequest(
            request_id=request_id(), program_id=caller.program_id, participant_id="olga", attributes={"tier": "gold"}
        ),
        timeout=TIMEOUT,
    )
    link, code = await caller.link("olga"), await caller.code("olga")
    share = link_pb2.RecordShareRequest(
        request_id=request_id(), program_id=caller.program_id, participant_id="olga", channel="chat"
    )
    await caller.links.RecordShare(share, timeout=TIMEOUT)
    service = caller.running.service
    told: dict[str, people_pb2.ParticipantEvent] = {}
    supply = supply_stream(PEOPLE, "late")
    history = partial(tell_people, LinkAddress("https://go.example"))
    supplier = asyncio.create_task(Supplier(service.database, service.stream, PEOPLE, supply, history).run())
    client = await nats.connect(servers.nats.url)
    try:
        jetstream = client.jetstream()
        await becomes(partial(exists, jetstream, supply), True)
        subscription = await jetstream.pull_subscribe_bind(consumer=supply.consumers[0], stream=supply.name)

        async def count() -> int:
            while (await subscription.consumer_info()).num_pending:
                for message in await subscription.fetch(100, timeout=TIMEOUT):
                    batch = people_pb2.ParticipantEventBatch.FromString(message.data)
                    told.update((each.event_id, each) for each in batch.events if each.program_id == caller.program_id)
                    await message.ack_sync()
            return len(told)

        await becomes(count, 9)
        await caller.enroll("new")
        await becomes(count, 10)
    finally:
        await cancel_all([supplier])
        await client.jetstream().delete_stream(supply.name)
        await client.close()
    names = {each.split(":")[0] + ":" + each.partition("/")[2] for each in told if not each.startswith("share")}
    assert names == {
        *(f"enrolled:{each}" for each in ("olga", "maria", "vera", "new")),
        "attributes:olga/1",
        "bound:maria",
        "bound:vera",
        f"link:{link.link_id}",
        f"code:{code}",
    }
    for name in ("olga", "maria", "vera"):
        assert told[f"enrolled:{caller.program_id}/{name}"].enrolled.participant == await caller.get(name)
    assert dict(told[f"attributes:{caller.program_id}/olga/1"].attributes_changed.attributes) == {"tier": "gold"}
    assert told[f"link:{caller.program_id}/{link.link_id}"].link_made.link.link_id == link.link_id


async def exists(jetstream: JetStreamContext, spec: StreamSpec) -> bool:
    """Whether the broker has a stream with its consumer."""
    try:
        await jetstream.consumer_info(spec.name, spec.consumers[0])
    except NotFoundError:
        return False
    return True
