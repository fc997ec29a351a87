"""Contacts in a file: mistakes are told by their line before anything is sent."""

from pathlib import Path

import pytest

from cli.commands.contacts import _read
from cli.errors import CommandFailed


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("participant,phone\nmaria,1\n", ":1: expected the columns"),
        ("participant\nmaria\n", ":1: expected the columns"),
        ("email\nm@shop.example\n", ":1: expected the columns"),
        ("participant,email,email\nmaria,a,b\n", ":1: expected the columns"),
        ("", ":1: expected the columns"),
        ("participant,email\nmaria\n", ":2: has too few columns"),
        ("participant,email\nmaria,m@shop.example,x\n", ":2: has too many columns"),
        ("participant,email\n", "holds no people"),
        ("participant,email_verify_time\nmaria,yesterday\n", ":2: email_verify_time yesterday: expected a date"),
        ("participant,display_name\nmaria,\xff\n", "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_place(content: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(CommandFailed, match=told):
        _read(file)


def test_columns_are_the_fields_that_are_set(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text('\ufeffparticipant,locale,display_name\nmaria,ru,"Мария, младшая"\nolga,,\n', encoding="utf-8")
    fields, lines = _read(file)
    assert fields == ["locale", "display_name"]
    assert [(each.number, each.contact.display_name, each.contact.locale) for each in lines] == [
        (2, "Мария, младшая", "ru"),
        (3, "", ""),
    ]
