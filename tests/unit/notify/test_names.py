"""Who is called by their name, and whose days are told."""

import dataclasses
from datetime import UTC, datetime

import pytest

from services.notify.domain.cause import Kind
from services.notify.domain.inbox import Entry
from services.notify.domain.texts import LocaleTexts, ProgramTexts, TextTemplate
from services.notify.rendering.compiled import BUILT_IN_TEXTS, compile_texts
from services.notify.rendering.formats import time_text, zone_of
from services.notify.rendering.samples import samples

LATE = datetime(2026, 3, 5, 22, 30, tzinfo=UTC)


def entry_at(level: int, kind: Kind = Kind.EARNED, **changes: object) -> Entry:
    found = next(each for each in samples(kind) if each.level == level)
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def said(body: str, entry: Entry, locale: str = "en") -> str:
    template = TextTemplate(entry.kind, "t", body)
    texts = compile_texts(ProgramTexts("", locale, (LocaleTexts(locale, (template,)),)))
    return texts.render(entry).body


@pytest.mark.parametrize(
    ("level", "name", "locale", "told"),
    [
        (1, "Vera", "en", "Vera"),
        (1, "Вера", "ru", "Вера"),
        (1, "", "en", "a friend"),
        (2, "", "ru", "друг"),
        (0, "Olga", "en", "Olga"),
        (0, "", "en", "you"),
        (0, "", "ru", "вы"),
    ],
)
def test_a_buyer_is_called_by_their_name_and_never_by_their_id(level: int, name: str, locale: str, told: str) -> None:
    entry = entry_at(level, buyer_name=name)
    assert said("{{ buyer }}", entry, locale) == told
    assert said("-{{ buyer_name }}", entry, locale) == f"-{name}"
    assert said("{{ buyer_id }}", entry, locale) == entry.buyer_id


def test_what_tells_of_no_buyer_names_none() -> None:
    entry = dataclasses.replace(next(samples(Kind.PAYOUT_PAID)), buyer_id="")
    assert said("-{{ buyer }}", entry) == "-"


@pytest.mark.parametrize(("up_to", "named"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])])
def test_a_name_is_for_those_who_may_read_it(up_to: int, named: list[int]) -> None:
    entries = [entry_at(level, buyer_name="Vera") for level in (0, 1, 2)]
    assert [each.level for each in entries if each.with_names_up_to(up_to).buyer_name] == named


def test_a_program_that_does_not_say_names_a_buyer_to_whoever_brought_them() -> None:
    assert [compile_texts(ProgramTexts("", "", (), level)).names_up_to_level for level in (None, 0, 1, 64)] == [
        1, 0, 1, 64,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["{{ 7 * 7 }}", "{% if %}", "{{ buyer_id }}", "<b>Vera</b>", "%s"])
def test_a_name_is_no_template(name: str) -> None:
    assert said("{{ buyer }}", entry_at(1, buyer_name=name)) == name


@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("", "March 5, 2026", "10:30\u202fPM"),
        ("Europe/Moscow", "March 6, 2026", "1:30\u202fAM"),
        ("America/St_Johns", "March 5, 2026", "7:00\u202fPM"),
        ("Gone/Away", "March 5, 2026", "10:30\u202fPM"),
    ],
)
def test_days_and_hours_are_the_readers_own(zone: str, day: str, hour: str) -> None:
    entry = entry_at(1, Kind.HELD, hold_until=LATE, occurred_at=LATE, time_zone=zone)
    assert said("{{ hold_until }} | {{ occurred_at }}", entry) == f"{day} | {day}"
    assert said("{{ hold_until_time }} | {{ occurred_at_time }}", entry) == f"{day}, {hour} | {day}, {hour}"
    assert f"Available from {day}." in BUILT_IN_TEXTS.render(entry).body


@pytest.mark.parametrize("ends", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "Asia/Kathmandu"])
def test_the_ends_of_the_calendar_hide_no_inbox(ends: datetime, zone: str) -> None:
    entry = entry_at(1, Kind.HELD, hold_until=ends, occurred_at=ends, time_zone=zone)
    assert said("{{ hold_until_time }} {{ occurred_at }}", entry)


def test_an_hour_that_comes_twice_and_one_that_never_comes() -> None:
    berlin = zone_of("Europe/Berlin")
    told = [time_text(datetime(2026, *each, tzinfo=UTC), "ru", berlin) for each in ((3, 29, 0, 59), (3, 29, 1, 0))]
    assert told == ["29 марта 2026\u202fг., 01:59", "29 марта 2026\u202fг., 03:00"]
    told = [time_text(datetime(2026, *each, tzinfo=UTC), "ru", berlin) for each in ((10, 25, 0, 30), (10, 25, 1, 30))]
    assert told == ["25 октября 2026\u202fг., 02:30"] * 2
