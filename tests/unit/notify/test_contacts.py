"""Contacts that are taken, and those that are refused."""

import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from upline.notify.v1 import contact_pb2

from chassis.errors import UplineError
from services.notify.domain.contact import Contact, changed, name_problem
from services.notify.wire.contacts import FIELDS, contact_message, read_contacts, read_fields

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def read(fields: frozenset[str] = frozenset(FIELDS), **content: object) -> Contact:
    message = contact_pb2.Contact(participant_id="vera", **content)  # type: ignore[arg-type]
    return read_contacts([message], ["contact"], fields, NOW)[0]


def violations(**content: object) -> dict[str, str]:
    with pytest.raises(UplineError) as caught:
        read(**content)
    assert caught.value.reason == "INVALID_CONTACT"
    return {each.field: each.description for each in caught.value.violations}


@pytest.mark.parametrize(
    "name",
    ["Vera", "Вера", "李 小龙", "O'Neil, jr.", "Анна-Мария", "علی\u200cرضا", "👩\u200d🚀", "{{ 7 }}", "<b>", "7"],
)
def test_names_as_people_have_them_are_taken(name: str) -> None:
    assert read(display_name=f" {name} ").display_name == name


@pytest.mark.parametrize(
    "name",
    ["Vera\r\nBcc: all@shop.example", "a\nb", "a\tb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "a\ufeffb"]
    + [f"a{each}b" for each in BIDI_CONTROLS],
)
def test_names_that_break_out_of_their_line_are_refused(name: str) -> None:
    told = violations(display_name=name)["contact.display_name"]
    assert "place" in told
    assert name not in told


@given(st.text(max_size=50))
def test_a_name_that_is_taken_has_one_line_and_one_direction(name: str) -> None:
    if name_problem(name):
        return
    assert not any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in name)
    assert not set(name) & set(BIDI_CONTROLS)
    assert len(name.splitlines()) <= 1
    assert not name or any(unicodedata.category(each)[0] in "LNSP" for each in name)


@given(st.text(st.characters(categories=("L", "N"), max_codepoint=0xFFFF), min_size=1, max_size=100))
def test_a_name_of_letters_and_numbers_is_taken(name: str) -> None:
    assert name_problem(name) == ""


@given(st.text(max_size=50), st.sampled_from(BIDI_CONTROLS + "\r\n\0\x1b\u2028"), st.text(max_size=50))
def test_a_name_with_one_bad_character_is_refused_wherever_it_stands(before: str, bad: str, after: str) -> None:
    assert name_problem(before + bad + after)


@pytest.mark.parametrize("name", ["\u200d", "\u0301", "\u200c\u200d"])
def test_a_name_of_which_nothing_can_be_seen_is_refused(name: str) -> None:
    assert "nothing that can be seen" in violations(display_name=name)["contact.display_name"]


@pytest.mark.parametrize(
    "email",
    [
        "vera", "vera@", "@shop.example", "vera@shop", "vera@shop.example\r\nBcc: a@b.example",
        "a@b.example,c@d.example",
        "Vera <vera@shop.example>", " vera@shop.example", "vera@shop.example ", "ve\u202era@shop.example",
        "a\0@b.example", "vera@[127.0.0.1]", "vera@localhost", "vera@shop.test", f"{'v' * 65}@shop.example",
        "vera@xn--a.example",
    ],
)  # fmt: skip
def test_addresses_that_nobody_can_be_written_to_at_are_refused(email: str) -> None:
    assert "contact.email" in violations(email=email)


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_address_is_taken_as_it_is_or_refused_by_its_field(local: str, domain: str) -> None:
    for email in (f"{local}@{domain}.example", f"{local}@shop.example", f"vera@{domain}.example"):
        try:
            contact = read(email=email)
        except UplineError as error:
            told = [each.field for each in error.violations]
        else:
            assert contact.email == email
            assert contact.email_key == read(email=contact.email_key).email_key
            assert email.isprintable()
            continue
        assert told == ["contact.email"]


def test_an_address_is_kept_as_it_was_given_and_compared_without_capitals() -> None:
    contact = read(email="Vera.Ivanova+Shop@Shop.Example")
    assert contact.email == "Vera.Ivanova+Shop@Shop.Example"
    assert contact.email_key == read(email="vera.ivanova+shop@SHOP.example").email_key
    assert read(email="вера@ПОЧТА.рф").email_key == "вера@почта.рф"


def test_every_fault_of_every_contact_is_named() -> None:
    messages = [
        contact_pb2.Contact(participant_id="vera", display_name="a\nb", email="nobody", time_zone="Mars/Olympus"),
        contact_pb2.Contact(participant_id="boris", email_verify_time=Timestamp(seconds=2**38)),
        contact_pb2.Contact(participant_id="vera"),
    ]
    with pytest.raises(UplineError) as caught:
        read_contacts(messages, [f"contacts[{place}]" for place in range(3)], frozenset(FIELDS), NOW)
    assert [each.field for each in caught.value.violations] == [
        "contacts[0].display_name",
        "contacts[0].email",
        "contacts[0].time_zone",
        "contacts[1].email_verify_time",
        "contacts[2].participant_id",
    ]


@pytest.mark.parametrize(
    "zone", ["localtime", "America", "../etc/passwd", "/etc/localtime", "europe/berlin", "a\0b", "+03"]
)
def test_only_zones_of_the_database_are_taken(zone: str) -> None:
    assert "contact.time_zone" in violations(time_zone=zone)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Moscow", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
def test_every_zone_that_is_taken_is_one_that_can_be_read(zone: str) -> None:
    assert ZoneInfo(read(time_zone=zone).time_zone)


def test_what_a_mask_leaves_out_is_neither_read_nor_changed() -> None:
    fields = read_fields(["locale"])
    given_contact = read(fields, display_name="a\nb", email="nobody", locale="ru")
    stored = Contact("vera", "Vera", "vera@shop.example", "vera@shop.example", NOW, "Europe/Moscow", "en", NOW, NOW)
    later = NOW + timedelta(days=1)
    assert changed(stored, given_contact, fields, later) == Contact(
        "vera", "Vera", "vera@shop.example", "vera@shop.example", NOW, "Europe/Moscow", "ru", NOW, later
    )


@pytest.mark.parametrize("path", ["", "*", "participant_id", "create_time", "contact.email", "phone"])
def test_a_mask_names_fields_that_can_change(path: str) -> None:
    with pytest.raises(UplineError) as caught:
        read_fields(["email", path])
    assert [each.field for each in caught.value.violations] == ["update_mask"]


@pytest.mark.parametrize(
    ("email", "stays"),
    [("VERA@shop.example", True), ("vera@shop.example", True), ("boris@shop.example", False), ("", False)],
)
def test_an_address_that_changes_is_not_verified_any_more(email: str, *, stays: bool) -> None:
    fields = read_fields(["email"])
    stored = Contact("vera", email="vera@shop.example", email_key="vera@shop.example", email_verify_time=NOW)
    assert changed(stored, read(fields, email=email), fields, NOW).email_verify_time == (NOW if stays else None)


def test_a_contact_is_told_as_it_was_read() -> None:
    verified = Timestamp(seconds=1_700_000_000)
    message = contact_pb2.Contact(
        participant_id="vera", display_name="Vera", email="v@shop.example", email_verify_time=verified, locale="ru",
        time_zone="Asia/Kathmandu",
    )  # fmt: skip
    assert contact_message(read_contacts([message], ["contact"], frozenset(FIELDS), NOW)[0]) == message
