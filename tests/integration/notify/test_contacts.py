"""Contacts: set, read and erased, and never in the way of what is kept for repeated calls."""

import asyncio
from collections.abc import Callable

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import event
from upline.notify.v1 import contact_pb2, contact_pb2_grpc, notify_pb2, notify_pb2_grpc

from chassis.clock import ManualClock
from chassis.ids import new_id
from chassis.times import to_timestamp
from tests.conftest import Servers
from tests.errors import reason_of
from tests.running import DEADLINE_SECONDS, Running

Contacts = contact_pb2_grpc.ContactServiceStub
NewProgram = Callable[[str], str]


@pytest.fixture
def contacts(notify: Running) -> Contacts:
    """A client of ContactService."""
    return contact_pb2_grpc.ContactServiceStub(notify.channel)


async def update(
    contacts: Contacts, program: str, contact: contact_pb2.Contact, *mask: str, request_id: str = ""
) -> contact_pb2.UpdateContactResponse:
    return await contacts.UpdateContact(
        contact_pb2.UpdateContactRequest(
            request_id=request_id or str(new_id()),
            program_id=program,
            contact=contact,
            update_mask=FieldMask(paths=mask) if mask else None,
        ),
        timeout=DEADLINE_SECONDS,
    )


async def stored(contacts: Contacts, program: str, person: str) -> contact_pb2.Contact:
    """The contact that is kept, without its times; an empty one if there is none."""
    request = contact_pb2.GetContactRequest(program_id=program, participant_id=person)
    try:
        contact = (await contacts.GetContact(request, timeout=DEADLINE_SECONDS)).contact
    except grpc.aio.AioRpcError as error:
        if (error.code(), reason_of(error)) != (grpc.StatusCode.NOT_FOUND, "CONTACT_NOT_FOUND"):
            raise
        return contact_pb2.Contact()
    assert contact.HasField("create_time")
    contact.ClearField("create_time")
    contact.ClearField("update_time")
    return contact


async def erase(contacts: Contacts, program: str, person: str, request_id: str = "") -> list[str]:
    request = contact_pb2.EraseContactRequest(
        request_id=request_id or str(new_id()), program_id=program, participant_id=person
    )
    return list((await contacts.EraseContact(request, timeout=DEADLINE_SECONDS)).erased)


def whole(person: str, clock: ManualClock) -> contact_pb2.Contact:
    return contact_pb2.Contact(
        participant_id=person,
        display_name="Вера Иванова",
        email="Vera@Shop.Example",
        email_verify_time=to_timestamp(clock.now()),
        time_zone="Europe/Moscow",
        locale="ru",
    )


async def test_a_mask_changes_what_it_names_and_no_mask_changes_all(
    contacts: Contacts, clock: ManualClock, new_program_id: NewProgram
) -> None:
    program = new_program_id("contacts")
    assert await stored(contacts, program, "vera") == contact_pb2.Contact()
    vera = whole("vera", clock)
    await update(contacts, program, vera)
    assert await stored(contacts, program, "vera") == vera
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="Верочка"), "display_name")
    vera.display_name = "Верочка"
    assert await stored(contacts, program, "vera") == vera
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", email="new@shop.example"), "email")
    vera.email = "new@shop.example"
    vera.ClearField("email_verify_time")
    assert await stored(contacts, program, "vera") == vera
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="V"))
    assert await stored(contacts, program, "vera") == contact_pb2.Contact(participant_id="vera", display_name="V")
    assert await stored(contacts, new_program_id("other"), "vera") == contact_pb2.Contact()


async def test_changes_of_different_fields_at_once_lose_none(
    contacts: Contacts, clock: ManualClock, new_program_id: NewProgram
) -> None:
    program = new_program_id("at-once")
    vera = whole("vera", clock)
    vera.ClearField("email_verify_time")
    fields = ("display_name", "email", "time_zone", "locale")
    await asyncio.gather(*(update(contacts, program, vera, field) for field in fields))
    assert await stored(contacts, program, "vera") == vera


async def test_a_batch_is_set_whole_or_not_at_all(
    contacts: Contacts, clock: ManualClock, new_program_id: NewProgram
) -> None:
    program = new_program_id("batch")
    people = [whole(f"person-{number}", clock) for number in range(1_000)]

    async def set_all(*changed: contact_pb2.Contact) -> contact_pb2.BatchUpdateContactsResponse:
        request = contact_pb2.BatchUpdateContactsRequest(request_id=str(new_id()), program_id=program, contacts=changed)
        return await contacts.BatchUpdateContacts(request, timeout=DEADLINE_SECONDS)

    bad = contact_pb2.Contact(participant_id="bad", display_name="a\r\nb")
    for refused in ([*people[1:], bad], [*people, bad], [people[0], people[0]]):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await set_all(*refused)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "contacts" in (caught.value.details() or "")
    assert await stored(contacts, program, "person-1") == contact_pb2.Contact()
    await set_all(*people)
    assert await stored(contacts, program, "person-999") == people[999]


async def test_calls_that_name_the_same_people_in_other_orders_do_not_block_each_other(
    contacts: Contacts, clock: ManualClock, new_program_id: NewProgram
) -> None:
    program = new_program_id("orders")
    people = [whole(f"person-{number}", clock) for number in range(100)]
    requests = [
        contact_pb2.BatchUpdateContactsRequest(request_id=str(new_id()), program_id=program, contacts=each)
        for each in (people, people[::-1]) * 5
    ]
    await asyncio.gather(*(contacts.BatchUpdateContacts(each, timeout=DEADLINE_SECONDS) for each in requests))
    assert await stored(contacts, program, "person-50") == people[50]


async def test_who_is_erased_while_they_are_changed_is_changed_all_the_same(
    contacts: Contacts, clock: ManualClock, servers: Servers, notify: Running, new_program_id: NewProgram
) -> None:
    program = new_program_id("meanwhile")
    vera = whole("vera", clock)
    await update(contacts, program, vera)
    tried: list[int] = []

    def erase_unless_locked(_conn: object, _cursor: object, sql: str, *_: object) -> None:
        if "INSERT INTO contact" in sql:
            with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
                free = "SELECT participant_id FROM notify.contact WHERE program_id = %(program)s FOR UPDATE SKIP LOCKED"
                erasing = f"DELETE FROM notify.contact WHERE program_id = %(program)s AND participant_id IN ({free})"
                tried.append(conn.execute(erasing.encode(), {"program": program}).rowcount)

    engine = notify.service.database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", erase_unless_locked)
    try:
        await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="V"), "display_name")
    finally:
        event.remove(engine, "after_cursor_execute", erase_unless_locked)
    assert tried == [0], "whoever erases waits"
    vera.display_name = "V"
    assert await stored(contacts, program, "vera") == vera


async def test_a_verification_needs_an_address(contacts: Contacts, new_program_id: NewProgram) -> None:
    program = new_program_id("verified")
    verified = contact_pb2.Contact(participant_id="vera", email_verify_time=Timestamp(seconds=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await update(contacts, program, verified, "email_verify_time")
    assert reason_of(caught.value) == "INVALID_CONTACT"
    assert "contact.email_verify_time" in (caught.value.details() or "")
    assert await stored(contacts, program, "vera") == contact_pb2.Contact(), "what is refused changes nothing"


async def test_an_erased_person_is_nowhere_any_more(
    contacts: Contacts,
    clock: ManualClock,
    servers: Servers,
    notify: Running,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("erased")
    preferences = notify_pb2_grpc.PreferenceServiceStub(notify.channel)
    request_id = f"{program}/update"
    vera = whole("vera", clock)
    first = await update(contacts, program, vera, request_id=request_id)
    await preferences.UpdatePreferences(
        notify_pb2.UpdatePreferencesRequest(
            request_id=str(new_id()),
            program_id=program,
            participant_id="vera",
            preferences=notify_pb2.Preferences(locale="en"),
        ),
        timeout=DEADLINE_SECONDS,
    )
    assert await erase(contacts, program, "vera", f"{program}/erase") == [
        "contact.display_name",
        "contact.email",
        "contact.email_verify_time",
        "contact.time_zone",
        "contact.locale",
        "preferences.locale",
    ]
    assert await stored(contacts, program, "vera") == contact_pb2.Contact()
    assert await erase(contacts, program, "vera") == []
    assert len(await erase(contacts, program, "vera", f"{program}/erase")) == 6, "a repeated call is answered alike"
    # A call from before that is repeated is answered, and does not bring the person back.
    assert await update(contacts, program, vera, request_id=request_id) == first
    assert await stored(contacts, program, "vera") == contact_pb2.Contact()
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'notify'").fetchall()
        for (table,) in tables:
            rows = conn.execute(f"SELECT t::text FROM notify.{table} AS t").fetchall()  # type: ignore[call-overload]
            for (row,) in rows:
                if program in row:
                    assert not any(known in row.lower() for known in ("вера", "shop.example", "moscow")), table
        answers = conn.execute(
            "SELECT response FROM notify.program_request WHERE program_id = %s AND method LIKE '%%Contact%%'",
            (program,),
        ).fetchall()
    assert answers
    for (answer,) in answers:
        assert "Вера".encode() not in answer
        assert b"hop.Example" not in answer


async def test_nothing_of_a_contact_stands_in_the_logs(
    contacts: Contacts, clock: ManualClock, new_program_id: NewProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    program = new_program_id("logs")
    vera = whole("vera", clock)
    await update(contacts, program, vera)
    for refused in (
        contact_pb2.Contact(participant_id="vera", display_name="Вера\nИванова"),
        contact_pb2.Contact(participant_id="vera", email="vera@@shop.example"),
        contact_pb2.Contact(participant_id="vera\0", display_name="Вера"),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await update(contacts, program, refused)
    told = "".join(capfd.readouterr())
    assert not any(known in told for known in ("Вера", "Иванова", "hop.Example", "shop.example"))
