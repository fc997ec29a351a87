"""A message written as a program file and read again is the same message."""

from pathlib import Path

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from upline.attribution.v1.conversion_pb2 import ConversionDraft
from upline.attribution.v1.program_pb2 import Program
from upline.notify.v1.notify_pb2 import ProgramTexts
from upline.rewards.v1.plan_pb2 import Plan

from cli.bundle import program
from cli.bundle.decode import Decoder
from cli.bundle.encode import plain_values
from cli.bundle.scalars import MAX_SPAN_SECONDS, fill_duration
from cli.bundle.source import parse
from cli.bundle.spans import format_span, parse_span

PROGRAMS = sorted(
    file
    for file in (Path(__file__).parents[3] / "programs").rglob("*.yaml")
    if not file.name.endswith(".scenario.yaml")
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
INT64 = st.integers(-(2**63), 2**63 - 1)
NANOS = st.integers(-MAX_SPAN_SECONDS * 10**9, MAX_SPAN_SECONDS * 10**9)


def same(message: Message) -> None:
    """Writes, reads and compares."""
    text = yaml.dump({"it": plain_values(message)}, Dumper=program._Dumper, allow_unicode=True)
    root = parse(text.encode(), "test")
    again, decoder = type(message)(), Decoder()
    decoder.message(root.value[0][1], again, "it")
    assert decoder.problems == []
    assert again == message


@given(st.lists(TEXT, max_size=3), TEXT, st.booleans(), st.integers(0, 2), NANOS, st.integers(0, 3))
def test_programs(hosts: list[str], title: str, enrol: bool, touch: int, nanos: int, cookie: int) -> None:
    made = Program(title=title, allowed_hosts=hosts, visitor_cookie=cookie)  # type: ignore[arg-type]
    made.policy.touch = touch  # type: ignore[assignment]
    made.policy.enroll_buyers = enrol
    sign = -1 if nanos < 0 else 1
    made.policy.window.CopyFrom(Duration(seconds=sign * (abs(nanos) // 10**9), nanos=sign * (abs(nanos) % 10**9)))
    same(made)


@given(st.lists(st.tuples(TEXT, st.lists(INT64, max_size=3), st.integers(0, 3)), max_size=3))
def test_plans(rules: list[tuple[str, list[int], int]]) -> None:
    made = Plan()
    for text, amounts, which in rules:
        rule = made.rules.add(rule_id=text, on=[text], asset=text)
        if which == 0:
            rule.to.buyer.SetInParent()
            rule.amount.fixed.amount_minor = amounts[0] if amounts else 0
        elif which == 1:
            rule.to.upline.from_level = 1
            rule.amount.per_level.amounts_minor.extend(amounts)
        elif which == 2:
            rule.amount.geometric.percent = text
            rule.hold.duration.seconds = 14 * 86_400
    same(made)


def test_the_bound_of_a_tier_has_one_name_in_files() -> None:
    answered = Plan()
    tier = answered.rules.add().tiers.tiers.add(bound=10, percent="5")
    assert plain_values(answered)["rules"][0]["tiers"]["tiers"] == [{"from": 10, "percent": "5"}]
    setattr(tier, "from", 10)
    assert plain_values(answered)["rules"][0]["tiers"]["tiers"] == [{"from": 10, "percent": "5"}]
    tier.ClearField("bound")
    same(answered)


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.none() | st.integers(0, 2**63 - 1), st.none() | st.booleans())
def test_maps_and_optional_fields(attributes: dict[str, str], margin: int | None, new: bool | None) -> None:
    made = ConversionDraft(attributes=attributes, margin_minor=margin, new_customer=new)
    made.occurred_at.FromJsonString("2026-03-01T10:20:30.123456Z")
    same(made)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_texts(texts: list[tuple[str, str]]) -> None:
    made = ProgramTexts(program_title="Кофейня")
    for title, body in texts:
        made.locales.add(locale="ru").templates.add(kind="NOTIFICATION_KIND_REWARD_HELD", title=title, body=body)  # type: ignore[arg-type]
    same(made)


@given(NANOS)
def test_durations(nanos: int) -> None:
    assert parse_span(format_span(nanos)) == nanos


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2_592_000),
        ("12h", 43_200),
        ("1d12h", 129_600),
        ("90s", 90),
        ("2w", 1_209_600),
        ("5m", 300),
        ("1.5h", 5_400),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "30", "d", "30 d", "30D", "1y", "-", "1.d", "30d ", "0.1ns"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_span(text)


def test_a_fraction_of_a_second_becomes_nanos() -> None:
    target = Duration()
    fill_duration(yaml.compose("-1.5s"), target)
    assert (target.seconds, target.nanos) == (-1, -500_000_000)


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_shipped_programs_hold_to_the_contracts(file: Path) -> None:
    loaded = program.load(file)
    assert loaded.program.program_id == file.stem
    again = program.decode(program.encode(loaded).encode(), "again")
    assert (again.program, again.plan, again.texts) == (loaded.program, loaded.plan, loaded.texts)


def test_programs_are_shipped() -> None:
    assert {"uds", "three-levels"} <= {file.stem for file in PROGRAMS}
