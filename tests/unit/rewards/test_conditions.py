"""Conditions: typed when they are compiled, budgeted when they are evaluated, and true only if they are true."""

import time
from datetime import UTC, datetime

import pytest

from services.rewards.domain.details import Line
from services.rewards.domain.plan.condition import ConditionError
from services.rewards.wire.conditions import Compiler, InvalidConditionError, Scope

COMPILER = Compiler(["sales", "active_referees"])
SHOES = Line("1", "boot-7", "shoes", 5_000, {"colour": "red"})
VALUES: dict[str, object] = {
    "event.type": "order",
    "event.amount_minor": 15_000,
    "event.occurred_at": datetime(2026, 5, 1, tzinfo=UTC),
    "event.attributes": {"shop": "spb"},
    "buyer.attributes": {},
    "buyer.bound": True,
    "lines": (SHOES,),
    "beneficiary.attributes": {"tier": "gold"},
    "level": 2,
    "counters.sales": 3,
}


def holds(text: str, scope: Scope = Scope.PERSON, **values: object) -> bool:
    condition = COMPILER.compile(text, scope)
    return condition.holds({name: value for name, value in (VALUES | values).items() if name in condition.names})


@pytest.mark.parametrize(
    "text",
    [
        "event.type == 'order' && event.amount_minor >= 15000",
        "event.occurred_at >= timestamp('2026-05-01T00:00:00Z')",
        "event.attributes['shop'] in ['msk', 'spb']",
        "lines.exists(line, line.category == 'shoes' && line.attributes['colour'] == 'red')",
        "lines.all(l, l.amount_minor < 6000) && size(lines) == 1",
        "beneficiary.attributes.tier == 'gold' && level == 2",
        "counters.sales > 2 && buyer.bound",
        "!has(buyer.attributes.tier)",
        "event.type.startsWith('or') && event.type.matches('^o.*r$')",
        "counters . sales // how many\n > 2",
    ],
)
def test_what_is_true_holds(text: str) -> None:
    assert holds(text) is True
    assert holds(f"!({text})" if "//" not in text else "counters.sales < 2") is False


def test_lines_are_asked_one_by_one() -> None:
    condition = COMPILER.compile("line.category == 'shoes' && event.type == 'order'", Scope.LINE)
    assert condition.holds({"line": SHOES, "event.type": "order"})
    assert not condition.holds({"line": Line("2", "x", "books", 1, {}), "event.type": "order"})


def test_a_gate_asks_for_counters_and_the_amount() -> None:
    condition = COMPILER.compile("counters.active_referees >= 5 && amount <= 100000", Scope.GATE)
    assert condition.holds({"counters.active_referees": 5, "amount": 100_000})


@pytest.mark.parametrize(
    ("text", "scope", "told"),
    [
        ("event.amount_minr > 1", Scope.PERSON, "line 1, column 6: 'event.amount_minr' is not known; there are"),
        ("true &&\n  event.type > 3", Scope.PERSON, "line 2, column 14: found no matching overload"),
        ("counters.sale > 1", Scope.PERSON, "'counters.sale' is not known"),
        ("event.amount_minor", Scope.PERSON, "is of type int, not bool"),
        ("dyn(event.type)", Scope.PERSON, "is of type dyn, not bool"),
        ("event.", Scope.PERSON, "line 1, column 7: Syntax error"),
        ("lines.exists(l, l.colour == 'x')", Scope.PERSON, "undefined field 'colour'"),
        ("level == 1", Scope.CONVERSION, "may ask for the conversion and its buyer only, not for 'level'"),
        ("counters.sales > 1", Scope.CONVERSION, "may ask for the conversion and its buyer only"),
        ("buyer.bound", Scope.LINE, "'buyer.bound' is not known"),
        ("(" * 300 + "true" + ")" * 300, Scope.PERSON, "recursion"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, scope: Scope, told: str) -> None:
    with pytest.raises(InvalidConditionError) as caught:
        COMPILER.compile(text, scope)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("buyer.attributes['tier'] == 'gold'", 'Key not found in map : "tier"'),
        ("1 / (level - 2) == 1", "divide by zero"),
        ("9223372036854775807 + event.amount_minor > 0", "integer overflow"),
        ("dyn(event.type) > 1", "No matching overloads found"),
    ],
)
def test_an_error_is_never_true(text: str, told: str) -> None:
    with pytest.raises(ConditionError) as caught:
        holds(text)
    assert told in str(caught.value)
    assert holds(f"{text} || true")
    assert not holds(f"{text} && false")


def test_a_condition_has_a_budget() -> None:
    many = tuple(Line(str(number), "x", "c", 1, {}) for number in range(500))
    greedy = "lines.all(a, lines.all(b, lines.all(c, lines.all(d, a.amount_minor + d.amount_minor > 0))))"
    started = time.process_time()
    with pytest.raises(ConditionError, match="budget"):
        holds(greedy, lines=many)
    with pytest.raises(InvalidConditionError):
        COMPILER.compile("event.type.replace('', 'xx').replace('', 'xx') == ''", Scope.PERSON)
    assert not holds("event.type.matches('(a+)+$')", **{"event.type": "a" * 5_000 + "b"})
    assert time.process_time() - started < 1


def test_what_asks_for_the_conversion_alone_is_known() -> None:
    assert not COMPILER.compile("event.attributes['level'] == 'counters.sales'", Scope.PERSON).asks_for_people
    assert COMPILER.compile("level == 1", Scope.PERSON).asks_for_people
    assert COMPILER.compile("counters.sales == 1", Scope.PERSON).names == {"counters.sales"}
