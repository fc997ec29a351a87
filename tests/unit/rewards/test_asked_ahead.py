"""Conditions asked ahead: a conversion, and its rest, is decided as ever, and no condition is evaluated again."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import Decision
from services.rewards.domain.decide.effects import effects
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.details import Details, Line
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.counting import ask_ahead
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot
from services.rewards.domain.tally.tallies import TallyKey
from services.rewards.wire.conditions import CelCondition
from tests.unit.rewards.plans import counter, detailed, percent, plan, rule, upline
from tests.unit.rewards.rich_plans import rich_conversions, rich_plans, snapshots

LINES = [Line(str(number), "boot", "ab"[number % 2], 1_000, {"colour": "red"}) for number in range(4)]
PEOPLE = ({"tier": "gold"}, {}, {"tier": "iron"})
Decided = list[tuple[list[Decision], dict[TallyKey, int]]]


@contextmanager
def nothing_evaluated() -> Iterator[None]:
    """No condition may be evaluated."""

    def evaluated(condition: CelCondition, *_inputs: Any) -> bool:
        raise AssertionError(f"evaluated: {condition.text}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CelCondition, "_is_true", evaluated)
        yield


def of_lines_and_people() -> Plan:
    """A plan that asks for each line and each person, with errors among the verdicts, and by counters."""
    gold = "beneficiary.attributes['tier'] == 'gold'"
    compressed = plan_pb2.Qualification(when=gold, otherwise=plan_pb2.UNQUALIFIED_COMPRESS)
    return plan(
        rule("each", amount=percent("10", plan_pb2.AMOUNT_BASE_LINES), lines="line.category == 'a'"),
        rule("wrong", amount=percent("10", plan_pb2.AMOUNT_BASE_LINES), lines="line.attributes['none'] == 'a'"),
        rule("gold", to=upline(1, 3), when=gold),
        rule("counted", to=upline(1, 3), when="counters.volume > 100 && lines.exists(l, l.sku == 'boot')"),
        rule("found", to=upline(1, 2), qualification=compressed),
        rule("rest", when="lines.all(l, l.attributes['colour'] == 'red')", least_left_percent="50"),
        counters=[counter(when="lines.exists(l, l.category == 'b')")],
    )


def decided(subject: Plan, order: Conversion, snapshot: Snapshot) -> Decided:
    """The decisions and effects of the order, whole, in part and not at all."""
    left = [order, reduced(order, order.amount_minor // 2), reduced(order, 0)]
    found = [(each, decide(subject, each, snapshot)) for each in left]
    return [(decisions, effects(subject, each, decisions, snapshot)) for each, decisions in found]


def reduced(order: Conversion, remaining_minor: int) -> Conversion:
    """The rest of an order."""
    void = remaining_minor == 0 and order.amount_minor > 0
    return dataclasses.replace(order, remaining_minor=remaining_minor, void=void)


@given(st.data())
def test_whatever_was_asked_ahead_is_not_asked_again(data: st.DataObject) -> None:
    subject, order = data.draw(rich_plans()), data.draw(rich_conversions())
    snapshot = data.draw(snapshots(subject, order))
    asked = ask_ahead(subject, order, snapshot)
    with nothing_evaluated():
        found = decided(subject, asked, snapshot)
    assert found == decided(subject, order, snapshot)


@pytest.mark.parametrize("volume", [0, 1_000])
def test_conditions_on_lines_and_people_are_kept(volume: int) -> None:
    subject = of_lines_and_people()
    order = detailed(Details(lines=LINES, upline_attributes=PEOPLE), 4_000)
    snapshot = with_volume(subject, order, volume)
    asked = ask_ahead(subject, order, snapshot)
    with nothing_evaluated():
        found = decided(subject, asked, snapshot)
    assert found == decided(subject, order, snapshot)


def test_other_counters_are_asked_again() -> None:
    subject = of_lines_and_people()
    order = detailed(Details(lines=LINES, upline_attributes=PEOPLE), 4_000)
    asked, snapshot = ask_ahead(subject, order), with_volume(subject, order, 1_000)
    assert decided(subject, asked, snapshot) == decided(subject, order, snapshot) != decided(subject, order, EMPTY)


def with_volume(subject: Plan, order: Conversion, volume: int) -> Snapshot:
    """Tallies of which each person of the upline has as much."""
    of = subject.counters["volume"]
    period = Inputs(subject, order, EMPTY).periods[of.period]
    return Snapshot({(of.name, person, period): volume for person in order.upline})


def test_another_plan_asks_for_itself() -> None:
    order = ask_ahead(plan(rule(to=upline(1, 1), when="level == 2")), detailed(Details()))
    assert [each.amount_minor for each in decide(plan(rule(to=upline(1, 1), when="level == 1")), order)] == [1_000]
