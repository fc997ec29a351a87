"""Conditions: typed when they are compiled, budgeted when they are evaluated, and true only if they are true."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from cel_expr_python import cel

from chassis.errors import UplineError
from services.rewards.domain.details import Line
from services.rewards.domain.plan.condition import OTHER_TEXT, ConditionError
from services.rewards.wire import conditions
from services.rewards.wire.conditions import ENVIRONMENTS, Compiler, InvalidConditionError
from services.rewards.wire.problems import Problems
from services.rewards.wire.variables import Scope

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


def test_plans_share_what_compiles_their_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    made, new = [0], cel.NewEnv

    def counted(**arguments: Any) -> cel.Env:
        made[0] += 1
        return new(**arguments)

    monkeypatch.setattr(cel, "NewEnv", counted)
    plans = [Compiler(counter_ids) for counter_ids in ((), ("shared_a",), ("shared_a", "shared_b")) for _ in range(50)]
    for each in plans:
        each.compile("event.amount_minor > 5", Scope.PERSON)
        each.compile("level > 5", Scope.PERSON)
        each.compile("line.sku == 'a'", Scope.LINE)
    assert made[0] <= 5  # of the conversion, of lines, and of a person with each set of counters


def test_environments_are_bounded() -> None:
    for number in range(2 * ENVIRONMENTS):
        Compiler([f"bounded_{number}"]).compile("level > 5", Scope.PERSON)
    kept = conditions._environment.cache_info()
    assert kept.currsize <= ENVIRONMENTS


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
        (
            "event.amount_minr > 1",
            Scope.PERSON,
            "line 1, column 6: 'event.amount_minr' is not known; did you mean event.amount_minor?",
        ),
        ("true &&\n  event.type > 3", Scope.PERSON, "line 2, column 14: `>` does not go with string and int"),
        (
            "counters.sale > 1",
            Scope.PERSON,
            "column 9: the plan has no counter 'sale', it has active_referees, sales: did you mean counters.sales?",
        ),
        ("counters.turnover > 1", Scope.PERSON, "the plan has no counter 'turnover', it has active_referees, sales"),
        ("sales > 1", Scope.PERSON, "'sales' is not known; did you mean counters.sales?"),
        ("price > 1", Scope.PERSON, "there are beneficiary.…, buyer.…, counters.…, event.…, level, lines"),
        ("event.price > 1", Scope.LINE, "there are event.amount_minor, event.attributes, event.campaign,"),
        ("level == 1 and buyer.bound", Scope.PERSON, "line 1, column 12: write && instead of 'and'"),
        ("level == 1\n  OR level == 2", Scope.PERSON, "line 2, column 3: write || instead of 'OR'"),
        ("not buyer.bound", Scope.PERSON, "line 1, column 1: write ! instead of 'not'"),
        ("event.type = 'and'", Scope.PERSON, "line 1, column 12: write == instead of '='"),
        ("event.type == 'a or b", Scope.PERSON, "column 15: a text in quotes is not closed"),
        ("event.type == 'or' buyer.bound", Scope.PERSON, "column 20: 'buyer' cannot stand here: is an operator"),
        ("(level == 1", Scope.PERSON, "column 12: ')' is missing"),
        ("level == 1;", Scope.PERSON, "column 11: ';' means nothing in a condition"),
        ("level ==", Scope.PERSON, "column 9: something is missing at the end"),
        ("event.amount_minor", Scope.PERSON, "is of type int, not bool"),
        ("dyn(event.type)", Scope.PERSON, "is of type dyn, not bool"),
        ("event.", Scope.PERSON, "line 1, column 7: something is missing after '.'"),
        ("lines.exists(l, l.colour == 'x')", Scope.PERSON, "undefined field 'colour'"),
        ("level == 1", Scope.CONVERSION, "may ask for the conversion and its buyer only, not for 'level'"),
        ("counters.sales > 1", Scope.CONVERSION, "may ask for the conversion and its buyer only"),
        ("counters.sale > 1", Scope.CONVERSION, "the conversion and its buyer only, not for 'counters.sale'"),
        ("beneficiary.name == 'a'", Scope.CONVERSION, "the conversion and its buyer only, not for 'beneficiary.name'"),
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


@pytest.mark.parametrize(
    "text", ["event.type.matches('[')", "lines.exists(l, l.sku.matches(r'['))", "matches('a', '[')"]
)
def test_a_pattern_that_is_none_is_told_before_it_costs_a_reward(text: str) -> None:
    problems = Problems()
    COMPILER.read(f"level == 1 &&\n  {text}", Scope.PERSON, "plan.rules[0].when", "rule 'r'", problems)
    with pytest.raises(UplineError) as caught:
        problems.raise_any()
    (violation,) = caught.value.violations
    assert violation.field == "plan.rules[0].when"
    assert (
        f"line 2, column {text.index('[') + 2 - ('r' in text[text.index('[') - 2 :])}: '[' is no pattern"
        in violation.description
    )
    assert "`contains` looks for a text as it stands" in violation.description


def test_a_plan_that_was_published_with_such_a_pattern_is_read() -> None:
    problems = Problems(stored=True)
    condition = COMPILER.read("event.type.matches('[')", Scope.PERSON, "when", "rule 'r'", problems)
    problems.raise_any()
    assert condition is not None


def test_a_pattern_that_is_put_together_says_what_is_wrong_when_it_is_asked() -> None:
    with pytest.raises(ConditionError, match="invalid regular expression: missing ]"):
        holds("event.type.matches(event.attributes['shop'])", **{"event.attributes": {"shop": "["}})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("event.amount_minor >= 5", {("event.amount_minor", ""): {4, 5, 6}}),
        ("5 < event.hour && !buyer.bound", {("event.hour", ""): {4, 5, 6}, ("buyer.bound", ""): {False, True}}),
        ("event.code in ['a', 'b']", {("event.code", ""): {"a", "b", OTHER_TEXT}}),
        ("event.attributes['k'] == 'v'", {("event.attributes", "k"): {None, "v", OTHER_TEXT}}),
        (
            "has(buyer.attributes.k) || 'j' in buyer.attributes",
            {("buyer.attributes", each): {None, OTHER_TEXT} for each in "kj"},
        ),
        ("buyer.bound == true ? level in [1] : false", {("buyer.bound", ""): {False, True}, ("level", ""): {0, 1, 2}}),
    ],
)
def test_what_a_condition_can_be_is_told_by_a_few_values(text: str, values: dict[tuple[str, str], set[object]]) -> None:
    assert COMPILER.compile(text, Scope.PERSON).alternatives == values


def test_times_are_compared_to_the_microsecond() -> None:
    text = "event.occurred_at < timestamp('2026-05-01T00:00:00Z')"
    told = COMPILER.compile(text, Scope.PERSON).alternatives
    assert told is not None
    assert sorted(told["event.occurred_at", ""])[1:2] == [datetime(2026, 5, 1, tzinfo=UTC)]  # type: ignore[type-var]
    assert len(told["event.occurred_at", ""]) == 3


@pytest.mark.parametrize(
    "text",
    [
        "event.amount_minor % 2 == 0",
        "event.code < 'b'",
        "event.code == event.channel",
        "event.code.startsWith('a')",
        "lines.exists(l, l.sku == 'a')",
        "event.occurred_at + duration('1h') < timestamp('2026-05-01T00:00:00Z')",
        "event.attributes[event.code] == 'a'",
    ],
)
def test_what_asks_for_more_is_not_told(text: str) -> None:
    assert COMPILER.compile(text, Scope.PERSON).alternatives is None
