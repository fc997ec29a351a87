"""No condition costs more than is known before it is evaluated."""

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import UplineError
from services.rewards.domain.details import MAX_LINES, Line
from services.rewards.domain.plan.condition import ConditionError
from services.rewards.wire.condition_cost import MAX_TURNS, UNIT, cost_of, shape_of
from services.rewards.wire.conditions import MAX_CONDITION_STEPS, CelCondition, Compiler
from services.rewards.wire.pattern_cost import MAX_PATTERN_STEPS, pattern_steps
from services.rewards.wire.problems import Problems
from services.rewards.wire.syntax import NodeKind, SyntaxNode
from services.rewards.wire.variables import Scope

COMPILER = Compiler(["sales"])
DOUBLED = ".map(a, a + a)" * 26


def read(text: str, *, stored: bool = False) -> CelCondition | None:
    problems = Problems(stored=stored)
    condition = COMPILER.read(text, Scope.PERSON, "when", "rule 'r'", problems)
    problems.raise_any()
    return condition


@pytest.mark.parametrize(
    ("text", "figure", "instead"),
    [
        (f"[event.conversion_id]{DOUBLED}.size() == 1", "2,147,", "instead of putting them together"),
        (f"['a']{DOUBLED}.size() == 1", "134,", "instead of putting them together"),
        (f"[[1]]{DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"[b'a']{DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"[dyn('a')]{DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"[string('a')]{DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"[{{'a': 'b'}}].map(m, m['a']){DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"['a'].map(b, b == 'a' ? b : b + b){DOUBLED}.size() == 1", "steps", "instead of putting them together"),
        (f"['a']{'.filter(b, true)' * 2}{DOUBLED}.exists(a, a == '')", "steps", "instead of putting them together"),
        (f"[1]{'.map(a, [a, a])' * 26} == [1]{'.map(a, [a, a])' * 26}", "steps", "instead of putting them together"),
        ("lines.all(a, lines.all(b, a.sku == b.sku))", "250,500 turns", "instead of one within another"),
        ("lines.exists(l, l.attributes.exists(k, k == 'x'))", "10,500 turns", "for an attribute by its name"),
        ("event.code.matches(event.attributes['pattern'])", "steps", "write the pattern of `matches` out"),
        ("lines.exists(l, l.sku.matches('^.{1,500}$'))", "steps", "repeat less in the pattern"),
    ],
)
def test_what_grows_is_refused_with_a_figure_and_what_to_write_instead(text: str, figure: str, instead: str) -> None:
    with pytest.raises(UplineError) as caught:
        read(text)
    (violation,) = caught.value.violations
    assert violation.description.startswith("rule 'r': ")
    assert figure in violation.description
    assert instead in violation.description


@pytest.mark.parametrize(
    "text",
    [
        "lines.exists(l, l.sku.matches('^(ABC|DEF|GHI)-[0-9]{4}-[A-Z]{2}$'))",
        "lines.exists(l, l.attributes['colour'].contains('red') && l.category + '/' + l.sku == 'wine/7')",
        "lines.filter(l, l.category == 'wine').map(l, l.amount_minor / 100).exists(a, a > 100)",
        f"[1]{DOUBLED}.size() == 1",
        "lines.exists(l, l.sku.matches('^VIP-[0-9]+$'))",
        "event.attributes == buyer.attributes && 'tier' in beneficiary.attributes",
    ],
)
def test_what_does_not_grow_is_published(text: str) -> None:
    assert read(text) is not None


def test_a_stored_condition_is_evaluated_where_the_conversion_is_small_enough() -> None:
    condition = read("[event.code].map(a, a + a).map(a, a + a).size() == 1 && event.code.matches(event.link_id)",
                     stored=True)  # fmt: skip
    assert condition is not None
    assert condition.cost.steps > MAX_CONDITION_STEPS
    assert condition.holds({"event.code": "VIP-7", "event.link_id": "^VIP-[0-9]+$"})
    with pytest.raises(ConditionError, match=r"may take .* steps here, and a condition has 1,000,000 at most"):
        condition.holds({"event.code": "VIP-7", "event.link_id": r"^(\pL{1,500}){2}$"})


def test_a_stored_condition_that_grows_is_an_error_and_never_evaluated() -> None:
    condition = read(f"[event.conversion_id]{DOUBLED}.size() == 1", stored=True)
    assert condition is not None
    with pytest.raises(ConditionError, match=r"may take 134,.* steps here"):
        condition.holds({"event.conversion_id": "1"})


def test_a_stored_loop_in_a_loop_goes_on_as_far_as_the_library_goes() -> None:
    condition = read("lines.all(a, lines.all(b, a.amount_minor == b.amount_minor))", stored=True)
    assert condition is not None
    lines = [Line(str(number), "sku", "wine", 1, {}) for number in range(MAX_LINES)]
    assert condition.holds({"lines": lines[:90]})
    with pytest.raises(ConditionError, match="Iteration budget exceeded"):
        condition.holds({"lines": lines})


@pytest.mark.parametrize(
    ("cheap", "costly"),
    [
        ("abc", "a{100}"),
        ("a{100}", "(a{100}){10}"),
        ("(a{100}){10}", "(.{1,500}){2}"),
        ("[a-z]{10}", r"\pL{10}"),
        ("[(]{10}", "([(]{10}){10}"),
        ("[a-z]]{10}", "[a-z]{10}"),
        ("[]a]]{10}", "[]a]{10}"),
        (r"[[:alpha:]]{10}", r"[[:alpha:]\pN]{10}"),
        (r"\p{Greek}", r"\p{Greek}{2}"),
        ("a{2}", "a{5,}"),
    ],
)
def test_repetitions_of_patterns_are_written_out(cheap: str, costly: str) -> None:
    assert pattern_steps(cheap) < pattern_steps(costly) <= MAX_PATTERN_STEPS


def test_no_pattern_is_beyond_what_is_counted() -> None:
    assert pattern_steps(")" * 100 + "((((" + r"(\pL{1000}){1000}") == MAX_PATTERN_STEPS
    assert pattern_steps("(" * 1_000 + "a{1000}" * 100) == MAX_PATTERN_STEPS


_TEXTS = st.sampled_from(["event.code", "event.code + 'x'", "event.code + event.code", "'wine'"])
_LISTS = st.recursive(
    st.lists(_TEXTS, min_size=1, max_size=3).map(lambda texts: f"[{', '.join(texts)}]"),
    lambda lists: st.one_of(
        lists.map(lambda each: f"{each}.map(a, a + a)"),
        lists.map(lambda each: f"{each}.map(b, b + event.code)"),
        lists.map(lambda each: f"{each}.filter(c, c == event.code || c.size() > 40)"),
        st.tuples(lists, lists).map(" + ".join).map("({})".format),
        st.tuples(lists, lists).map(lambda two: f"{two[0]}.filter(d, d in {two[1]})"),
        st.tuples(lists, lists).map(lambda two: f"(event.hour > 12 ? {two[0]} : {two[1]})"),
    ),
    max_leaves=8,
)
_CONDITIONS = st.one_of(
    _LISTS.map(lambda each: f"{each}.size() == 2"),
    _LISTS.map(lambda each: f"{each}.exists(e, e == event.code)"),
    _LISTS.map(lambda each: f"{each}.all(e, {each}.exists(f, e == f))"),
    st.tuples(_LISTS, _LISTS).map(" == ".join),
)


@given(_CONDITIONS, st.text("abcд", max_size=200), st.integers(0, 23))
def test_no_evaluation_takes_more_than_the_estimate(text: str, code: str, hour: int) -> None:
    try:
        condition = COMPILER.compile(text, Scope.CONVERSION)
    except ValueError:  # nested too deeply
        return
    values: dict[str, object] = {"event.code": code, "event.hour": hour}
    estimate = cost_of(condition.tree, {name: shape_of(values[name]) for name in condition.names})
    counted = _Counting(values)
    holds = counted.value(condition.tree, {})
    assert counted.steps <= estimate.steps
    assert counted.turns <= estimate.turns
    assert estimate <= condition.cost
    if estimate.turns <= MAX_TURNS and estimate.steps <= MAX_CONDITION_STEPS:
        assert condition.holds({name: values[name] for name in condition.names}) is holds


class _Counting:
    """An evaluation that counts: the parts evaluated, and the bytes of texts and lists that are put together or
    compared."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values
        self.steps = 0
        self.turns = 0

    def value(self, node: SyntaxNode, scope: dict[str, object]) -> object:
        self.steps += 1
        if node.kind is NodeKind.CONSTANT:
            return node.value
        if node.kind is NodeKind.NAME:
            return scope[node.name] if node.name in scope else self._values[node.name]
        if node.kind is NodeKind.LOOP:
            return self._loop(node, scope)
        if node.name == "_?_:_":
            return self.value(node.parts[1 if self.value(node.parts[0], scope) else 2], scope)
        parts = [self.value(each, scope) for each in node.parts]
        return parts if node.kind is NodeKind.LIST else self._call(node.name, parts)

    def _loop(self, node: SyntaxNode, scope: dict[str, object]) -> object:
        over, so_far = self.value(node.parts[0], scope), self.value(node.parts[1], scope)
        assert isinstance(over, list)
        for each in over:
            within = scope | {node.name: each, str(node.value): so_far}
            self.turns += 1
            self.value(node.parts[2], within)  # goes on whatever it says: the estimate takes no way out into account
            so_far = self.value(node.parts[3], within)
        return self.value(node.parts[4], scope | {str(node.value): so_far})

    def _call(self, name: str, parts: list[object]) -> object:
        first, last = parts[0], parts[-1]
        if name == "_+_":
            whole = first + last  # type: ignore[operator]
            self.steps += len(whole.encode()) // UNIT if isinstance(whole, str) else 0
            return whole
        if name == "_==_" and isinstance(first, str) and isinstance(last, str):
            self.steps += min(len(first.encode()), len(last.encode())) // UNIT
        return _FUNCTIONS[name](*parts)


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "_==_": operator.eq,
    "_>_": operator.gt,
    "_||_": operator.or_,
    "_&&_": operator.and_,
    "!_": operator.not_,
    "@not_strictly_false": bool,
    "@in": lambda item, whole: item in whole,
    "size": len,
}
