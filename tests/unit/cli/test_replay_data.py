"""Reading purchases and sponsors, and the made-up tree."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.times import to_datetime
from cli.errors import CommandFailed
from cli.replay.data import (
    EnrolmentRow,
    FileLine,
    PurchaseRow,
    bind_by_first_purchase,
    make_up_sponsors,
    read_purchases,
    read_sponsors,
)
from cli.replay.rows import refuse_mistakes
from cli.replay.run import reversal_drafts

SHIPPED = Path(__file__).parents[3] / "programs" / "data" / "purchases.csv.gz"
HEAD = "conversion_id,buyer,occurred_at,amount_minor,currency\n"


def test_the_shipped_purchases_are_whole() -> None:
    purchases = read_purchases(SHIPPED)
    assert len(purchases) == 69_659
    assert sum(each.amount_minor for each in purchases) == 250_031_563
    assert len({each.conversion_id for each in purchases}) == len(purchases)
    assert {each.currency for each in purchases} == {"USD"}


def test_the_made_up_tree_is_a_tree_and_always_the_same() -> None:
    enrolments = make_up_sponsors(read_purchases(SHIPPED))
    depth: dict[str, int] = {}
    for each in enrolments:
        assert each.participant not in depth
        depth[each.participant] = depth[each.sponsor] + 1 if each.sponsor else 0
    assert len(enrolments) == 5_598
    assert (sum(not each.sponsor for each in enrolments), max(depth.values())) == (702, 15)


def test_a_wrong_row_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(HEAD + "a,u1,1997-01-01T12:00:00Z,100,USD\nb,u1,1997-01-01T12:00:00Z,1.5,USD\n")
    with pytest.raises(CommandFailed, match=r"p\.csv:3: "):
        read_purchases(file)
    file.write_text(HEAD + f"a,u1,1997-01-01T12:00:00Z,{10**20},USD\n")
    with pytest.raises(CommandFailed, match=r"p\.csv:2: amount_minor: expected a whole number"):
        read_purchases(file)
    file.write_text(HEAD + "a,u1,1997-01-01T12:00:00Z\n")
    with pytest.raises(CommandFailed, match=r"p\.csv:2: has too few columns"):
        read_purchases(file)
    file.write_text("id,buyer\n")
    with pytest.raises(CommandFailed, match="columns conversion_id, occurred_at, amount_minor, currency are missing"):
        read_purchases(file)
    file.write_text(HEAD)
    with pytest.raises(CommandFailed, match="holds no purchases"):
        read_purchases(file)


@pytest.mark.parametrize("text", ["1997-01-01T12:00:00", "1997-01-01", "yesterday", ""])
def test_a_time_without_its_zone_is_not_guessed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.csv"
    file.write_text(HEAD + f"a,u1,{text},100,USD\n")
    with pytest.raises(CommandFailed, match=r"p\.csv:2: occurred_at: expected a time with its zone such as .*, found "):
        read_purchases(file)


def test_every_mistake_is_told_by_its_line_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    rows = [
        "a,u1,1997-01-01T12:00:00Z,100,USD",
        "b,u1,1997-01-01T12:00:00Z,-5,USD",
        "c,,1997-01-01T12:00:00Z,100,USD",
        "a,u1,1997-01-01T12:00:00Z,101,USD",
        "d,u1,1997-01-01T12:00:00Z,100,EUR",
        "e,u1,2997-01-01T12:00:00Z,100,USD",
        "a,u1,1997-01-01T12:00:00Z,100,USD",
    ]
    file.write_text(HEAD + "\n".join(rows) + "\n")
    with pytest.raises(CommandFailed) as failed:
        refuse_mistakes("USD", [EnrolmentRow("", "", line=FileLine("s.csv", 2))], read_purchases(file))
    told = [line.replace(f"{tmp_path}/", "") for line in str(failed.value).splitlines()]
    assert [line.split(": ")[:2] for line in told[:-1]] == [
        ["p.csv:3", "amount_minor"],
        ["p.csv:4", "buyer"],
        ["p.csv:5", "conversion_id"],
        ["p.csv:6", "currency"],
        ["p.csv:7", "occurred_at"],
        ["s.csv:2", "participant"],
    ]
    assert told[2].endswith("a stands on line 2 with another content")
    assert told[-1] == "nothing was changed"


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(HEAD + "".join(f"o{number},u1,1997-01-01T12:00:00Z,100,EUR\n" for number in range(50)))
    with pytest.raises(CommandFailed, match=r"\nand 30 more\nnothing was changed"):
        refuse_mistakes("USD", [], read_purchases(file))


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    file = tmp_path / "p.csv.gz"
    file.write_text(HEAD)
    with pytest.raises(CommandFailed, match="cannot be read"):
        read_purchases(file)
    file.write_bytes(gzip.compress((HEAD + "a,u1,1997-01-01T12:00:00Z,100,USD\n").encode()))
    assert len(read_purchases(file)) == 1


def test_sponsors_stand_before_those_they_invited(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("participant,sponsor\nolga,\nmaria,olga\n")
    assert read_sponsors(file) == [EnrolmentRow("olga", ""), EnrolmentRow("maria", "olga")]
    file.write_text("participant,sponsor\nmaria,olga\nolga,\n")
    with pytest.raises(CommandFailed, match=r"s\.csv:2: sponsor olga is not listed before maria"):
        read_sponsors(file)


def test_sponsors_may_say_when_they_were_bound_and_others_are_with_their_first_order(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("participant,sponsor,bind_time\nolga,,\nmaria,olga,1996-05-01T12:00:00+03:00\nvera,olga,\n")
    read = read_sponsors(file)
    stated = datetime(1996, 5, 1, 9, tzinfo=UTC)
    assert read == [EnrolmentRow("olga", ""), EnrolmentRow("maria", "olga", stated), EnrolmentRow("vera", "olga")]
    days = [datetime(1997, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    bought = [PurchaseRow(f"{who}{day.day}", who, day, 100, "USD") for who in ("maria", "vera") for day in days]
    assert bind_by_first_purchase(read, bought) == [
        EnrolmentRow("olga", ""), EnrolmentRow("maria", "olga", stated), EnrolmentRow("vera", "olga", days[1]),
    ]  # fmt: skip
    for wrong in ("1996-05-01T12:00:00", "May"):
        file.write_text(f"participant,sponsor,bind_time\nolga,,\nmaria,olga,{wrong}\n")
        with pytest.raises(
            CommandFailed, match=rf"s\.csv:3: bind_time: expected a time with its zone .*, found '{wrong}'"
        ):
            read_sponsors(file)


@given(st.integers(0, 10**6), st.integers(1, 100))
def test_parts_of_a_reversal_leave_a_rest_for_the_last(amount_minor: int, parts: int) -> None:
    moment = datetime(1997, 1, 1, tzinfo=UTC)
    drafts = reversal_drafts(PurchaseRow("a", "u1", moment, amount_minor, "USD"), parts)
    assert drafts[-1].WhichOneof("extent") == "whole"
    assert all(each.amount.amount_minor > 0 for each in drafts[:-1])
    assert sum(each.amount.amount_minor for each in drafts[:-1]) <= amount_minor - (amount_minor // parts)
    assert len({each.reversal_id for each in drafts}) == len(drafts) == (parts if amount_minor // parts else 1)
    assert to_datetime(drafts[-1].occurred_at) == moment
