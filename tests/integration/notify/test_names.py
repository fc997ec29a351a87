"""Texts call people by the names that the platform gave them, as of the moment of reading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from upline.notify.v1 import contact_pb2, contact_pb2_grpc, notify_pb2, notify_pb2_grpc

from chassis.ids import new_id
from tests.integration.notify.conftest import Publish, earning, listed, reward_event, watching, when_there
from tests.integration.notify.test_contacts import erase, update
from tests.integration.notify.test_texts import prefer, published
from tests.running import DEADLINE_SECONDS, Running

Inboxes = notify_pb2_grpc.InboxServiceStub
NewProgram = Callable[[str], str]
HELD_UNTIL = datetime(2026, 3, 19, 22, 30, tzinfo=UTC)


@pytest.fixture
def contacts(notify: Running) -> contact_pb2_grpc.ContactServiceStub:
    """A client of ContactService."""
    return contact_pb2_grpc.ContactServiceStub(notify.channel)


async def bodies(inboxes: Inboxes, program: str, *people: str) -> list[str]:
    """The newest entry of each."""
    return [(await listed(inboxes, program, each)).entries[0].body for each in people]


async def test_a_name_is_told_to_whoever_may_read_it_for_as_long_as_it_is_known(
    inboxes: Inboxes,
    contacts: contact_pb2_grpc.ContactServiceStub,
    texts: notify_pb2_grpc.TextServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("names")
    await publish(reward_event(program, [earning("maria", 1, 5), earning("olga", 2, 3), earning("vera", 0, 2)]))
    await when_there(inboxes, program, "maria", 1)
    assert await bodies(inboxes, program, "maria", "olga") == [
        f"A new purchase by a friend in {program}: you earn 5 points.",
        f"A new purchase by a friend, level 2 of your network, in {program}: you earn 3 points.",
    ]
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="Вера"))
    await update(contacts, program, contact_pb2.Contact(participant_id="maria", locale="ru"))
    assert await bodies(inboxes, program, "maria", "olga") == [
        f"Хорошая новость от вашего друга (Вера): покупка в программе {program}. Вы получаете 5 баллов.",
        f"A new purchase by a friend, level 2 of your network, in {program}: you earn 3 points.",
    ]
    for number, (up_to, maria_reads, olga_reads) in enumerate(
        [(2, True, True), (0, False, False), (None, True, False)]
    ):
        await published(texts, program, f"{number}", notify_pb2.ProgramTexts(names_up_to_level=up_to))
        told = await bodies(inboxes, program, "maria", "olga")
        assert ["Вера" in each for each in told] == [maria_reads, olga_reads], "entries of before follow"
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="Верочка"), "display_name")
    assert "друга (Верочка)" in (await bodies(inboxes, program, "maria"))[0]
    await erase(contacts, program, "vera")
    assert "от вашего друга: покупка" in (await bodies(inboxes, program, "maria"))[0]


async def test_what_a_person_chose_comes_before_what_the_platform_knows(
    inboxes: Inboxes,
    contacts: contact_pb2_grpc.ContactServiceStub,
    preferences: notify_pb2_grpc.PreferenceServiceStub,
    texts: notify_pb2_grpc.TextServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("languages")
    await published(texts, program, "1", notify_pb2.ProgramTexts(default_locale="ru"))
    await publish(reward_event(program, [earning("maria", 1, 5)]))
    [entry] = await when_there(inboxes, program, "maria", 1)
    assert entry.locale == "ru"
    await update(contacts, program, contact_pb2.Contact(participant_id="maria", locale="en"))
    assert (await listed(inboxes, program, "maria")).entries[0].locale == "en"
    await prefer(preferences, program, "maria", "ru", "1")
    assert (await listed(inboxes, program, "maria")).entries[0].locale == "ru"
    await prefer(preferences, program, "maria", "", "2")
    assert (await listed(inboxes, program, "maria")).entries[0].locale == "en"


async def test_days_are_the_readers_own_in_list_and_watch(
    notify: Running,
    inboxes: Inboxes,
    contacts: contact_pb2_grpc.ContactServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("zones")
    people = {
        "maria": ("Europe/Moscow", "March 20"),
        "olga": ("America/New_York", "March 19"),
        "petr": ("", "March 19"),
    }
    for person, (zone, _) in people.items():
        await update(contacts, program, contact_pb2.Contact(participant_id=person, time_zone=zone))
    await update(contacts, program, contact_pb2.Contact(participant_id="vera", display_name="Vera"))
    async with watching(notify, program, "maria") as watcher:
        await publish(reward_event(program, [earning(person, 1, 5, hold_until=HELD_UNTIL) for person in people]))
        [live] = await watcher.entries(1)
    assert "your friend Vera" in live.body
    assert "Available from March 20, 2026." in live.body
    for person, (_, day) in people.items():
        [entry] = await when_there(inboxes, program, person, 1)
        assert f"Available from {day}, 2026." in entry.body
        assert entry.hold_until.ToDatetime(UTC) == HELD_UNTIL


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile."""
    found: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_names_of_a_page_are_one_statement(
    inboxes: Inboxes,
    contacts: contact_pb2_grpc.ContactServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("page")
    buyers = [f"buyer-{number}" for number in range(50)]
    named = [contact_pb2.Contact(participant_id=each, display_name=each.upper()) for each in buyers]
    request = contact_pb2.BatchUpdateContactsRequest(request_id=str(new_id()), program_id=program, contacts=named)
    await contacts.BatchUpdateContacts(request, timeout=DEADLINE_SECONDS)
    await publish(*(reward_event(program, [earning("maria", 1, 5)], buyer=each) for each in buyers))
    await when_there(inboxes, program, "maria", len(buyers))
    with statements() as sent:
        page = await listed(inboxes, program, "maria", page_size=100)
    assert {each.upper() for each in buyers} == {
        entry.body.split("friend ")[1].split(" in ")[0] for entry in page.entries
    }
    assert len([each for each in sent if "contact" in each and "inbox_entry" not in each]) == 1
