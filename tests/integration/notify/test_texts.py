"""Texts in the reader's language."""

from collections.abc import Callable

import grpc
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from upline.notify.v1 import notify_pb2, notify_pb2_grpc
from upline.rewards.v1 import events_pb2

from tests.conftest import Servers
from tests.integration.notify.conftest import Publish, earning, listed, reward_event, when_there
from tests.running import DEADLINE_SECONDS

Inboxes = notify_pb2_grpc.InboxServiceStub
Texts = notify_pb2_grpc.TextServiceStub
Preferences = notify_pb2_grpc.PreferenceServiceStub
NewProgram = Callable[[str], str]

EARNED = notify_pb2.NOTIFICATION_KIND_REWARD_EARNED


def program_texts(body: str, locale: str = "ru", default_locale: str = "ru") -> notify_pb2.ProgramTexts:
    return notify_pb2.ProgramTexts(
        program_title="Кофейня",
        default_locale=default_locale,
        locales=[
            notify_pb2.LocaleTexts(
                locale=locale, templates=[notify_pb2.TextTemplate(kind=EARNED, title="+ {{ amount }}", body=body)]
            )
        ],
    )


async def published(
    texts: Texts, program: str, request_id: str, content: notify_pb2.ProgramTexts
) -> notify_pb2.PublishTextsResponse:
    return await texts.PublishTexts(
        notify_pb2.PublishTextsRequest(request_id=f"{program}/{request_id}", program_id=program, texts=content),
        timeout=DEADLINE_SECONDS,
    )


async def prefer(preferences: Preferences, program: str, person: str, locale: str, request_id: str) -> None:
    await preferences.UpdatePreferences(
        notify_pb2.UpdatePreferencesRequest(
            request_id=f"{program}/{person}/{request_id}",
            program_id=program,
            participant_id=person,
            preferences=notify_pb2.Preferences(locale=locale),
        ),
        timeout=DEADLINE_SECONDS,
    )


@pytest.mark.parametrize(
    ("amount", "ru", "en"),
    [
        (1, "1 балл", "1 point"),
        (2, "2 балла", "2 points"),
        (5, "5 баллов", "5 points"),
        (21, "21 балл", "21 points"),
    ],
)
async def test_both_languages_and_their_plurals(
    inboxes: Inboxes,
    preferences: Preferences,
    publish: Publish,
    new_program_id: NewProgram,
    amount: int,
    ru: str,
    en: str,
) -> None:
    program = new_program_id("plural")
    await prefer(preferences, program, "maria", "ru", "1")
    await publish(reward_event(program, [earning("maria", 1, amount), earning("olga", 2, amount)]))
    [russian] = await when_there(inboxes, program, "maria", 1)
    [english] = await when_there(inboxes, program, "olga", 1)
    assert (russian.locale, russian.title, russian.amounts[0].formatted) == ("ru", f"Вам начислено: {ru}", ru)
    assert (english.locale, english.title, english.amounts[0].formatted) == ("en", f"You earned {en}", en)
    assert "от вашего друга: покупка" in russian.body
    assert "a friend, level 2 of your network" in english.body


async def test_entries_keep_the_texts_of_their_time(
    inboxes: Inboxes, texts: Texts, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("versions")
    await publish(reward_event(program, [earning("maria", 1, 1)]))
    await when_there(inboxes, program, "maria", 1)
    assert (await published(texts, program, "1", program_texts("Первый: {{ program }}"))).version == 1
    await publish(reward_event(program, [earning("maria", 1, 2)]))
    await when_there(inboxes, program, "maria", 2)
    assert (await published(texts, program, "2", program_texts("Второй: {{ buyer }}"))).version == 2
    await publish(reward_event(program, [earning("maria", 1, 5)]))
    entries = await when_there(inboxes, program, "maria", 3)
    assert [each.body for each in entries[:2]] == ["Второй: друг", "Первый: Кофейня"]
    assert [each.title for each in entries] == ["+ 5 баллов", "+ 2 балла", "You earned 1 point"]


async def test_the_same_texts_are_the_same_version(texts: Texts, new_program_id: NewProgram) -> None:
    program = new_program_id("same")
    content = program_texts("{{ amount }}")
    assert (await texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program), timeout=DEADLINE_SECONDS)).version == 0
    assert [(await published(texts, program, each, content)).version for each in ("1", "2", "1")] == [1, 1, 1]
    newest = await texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program), timeout=DEADLINE_SECONDS)
    assert (newest.version, newest.texts) == (1, content)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await published(texts, program, "1", program_texts("other {{ amount }}"))
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS


async def test_built_in_texts_can_be_read_and_published(texts: Texts, new_program_id: NewProgram) -> None:
    program = new_program_id("builtin")
    built_in = await texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program), timeout=DEADLINE_SECONDS)
    kinds = [number for number in notify_pb2.NotificationKind.values() if number]
    for each in built_in.texts.locales:
        assert sorted(template.kind for template in each.templates) == kinds
    assert (await published(texts, program, "1", built_in.texts)).version == 1


async def test_bad_templates_are_refused_by_place(texts: Texts, new_program_id: NewProgram) -> None:
    program = new_program_id("bad")
    content = program_texts("Привет\n{{ nope }}")
    content.locales.append(notify_pb2.LocaleTexts(locale="en", templates=[]))
    content.locales[1].templates.add(kind=EARNED, title="{{ amount", body="ok")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await published(texts, program, "1", content)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    assert status is not None
    details = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(details)
    assert [(each.field, each.description.split(":")[0]) for each in details.field_violations] == [
        ("texts.locales[0].templates[0].body", "line 2"),
        ("texts.locales[1].templates[0].title", "line 1"),
    ]
    answer = await texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program), timeout=DEADLINE_SECONDS)
    assert answer.version == 0


async def test_preferences(
    inboxes: Inboxes, texts: Texts, preferences: Preferences, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("prefer")
    await published(texts, program, "1", program_texts("{{ amount }}", default_locale="ru"))
    await publish(reward_event(program, [earning("maria", 1, 2)]))
    request = notify_pb2.GetPreferencesRequest(program_id=program, participant_id="maria")
    assert (await preferences.GetPreferences(request, timeout=DEADLINE_SECONDS)).preferences.locale == ""
    [entry] = await when_there(inboxes, program, "maria", 1)
    assert entry.locale == "ru"
    for number, (chosen, shown) in enumerate([("en", "en"), ("", "ru")]):
        await prefer(preferences, program, "maria", chosen, str(number))
        assert (await preferences.GetPreferences(request, timeout=DEADLINE_SECONDS)).preferences.locale == chosen
        assert (await listed(inboxes, program, "maria")).entries[0].locale == shown
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await prefer(preferences, program, "maria", "fr", "9")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "preferences.locale" in (caught.value.details() or "")


async def test_a_stored_text_that_costs_too_much_is_told_in_the_built_in_words_and_stops_nobody(
    servers: Servers, inboxes: Inboxes, texts: Texts, publish: Publish, new_program_id: NewProgram
) -> None:
    costly, other = new_program_id("costly"), new_program_id("cheap")
    chain = "program"
    for _ in range(5):
        chain = f"({chain})|join({chain})"
    content = program_texts("{{ " + chain + " }}", locale="en", default_locale="en")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await published(texts, costly, "1", content)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "texts.locales[0].templates[0].body: line 1: takes more than" in (caught.value.details() or "")

    good = program_texts("own words: {{ amount }}", locale="en", default_locale="en")
    content.locales[0].templates.add(kind=notify_pb2.NOTIFICATION_KIND_REWARD_REVERSED, title="own", body="own words")
    for program in (costly, other):
        await published(texts, program, "2", good)
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:  # as a version before published it
        stored = content.SerializeToString(deterministic=True)
        conn.execute("UPDATE notify.texts SET content = %s WHERE program_id = %s", (stored, costly))
    for program in (costly, other):
        await publish(reward_event(program, [earning("maria", 1, 1)]))
    await publish(reward_event(costly, [earning("maria", 1, 1)], change=events_pb2.REWARD_CHANGE_REVERSED))
    told = {each.kind: each.body for each in await when_there(inboxes, costly, "maria", 2)}
    assert told[EARNED].startswith("A new purchase by a friend in Кофейня")
    assert told[notify_pb2.NOTIFICATION_KIND_REWARD_REVERSED] == "own words"
    assert [each.body for each in await when_there(inboxes, other, "maria", 1)] == ["own words: 1 point"]
