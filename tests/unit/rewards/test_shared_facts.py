"""Conditions on lines share the facts of one conversion: it comes to the same, and little is kept meanwhile."""

import gc
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from bench import worst_plans
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.details import Details, Line
from services.rewards.domain.plan.condition import SharedFacts
from services.rewards.domain.settle.counting import prepare
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.wire import conditions
from services.rewards.wire.condition_cost import UNIT
from services.rewards.wire.conditions import MAX_KEPT_UNITS, CelCondition
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import counter, detailed, plan, rule, usd

ATTRIBUTES = {f"k{key}": "value-" * 4 for key in range(20)}
LARGE = Details(lines=[Line(f"l{number}", "sku", "wine", 2_000, ATTRIBUTES) for number in range(500)])
EVALUATIONS = 200
KEPT_BYTES = MAX_KEPT_UNITS * UNIT
PAGE_BYTES = resource.getpagesize()


@st.composite
def asked(draw: st.DrawFn) -> str:
    """A condition on lines, which may be an error."""
    over = draw(
        st.sampled_from([
            "lines", "lines.filter(k, k.category == 'a')", "lines.map(k, k)", "(lines + lines)", "[lines[0], lines[1]]",
        ])
    )  # fmt: skip
    each = draw(
        st.sampled_from([
            "l.attributes['colour'] == 'red'", "l.amount_minor > 100", "l.sku + l.category == 'xa'",
            "l.sku == event.attributes['sku']", "l.category.matches(event.conversion_id)", "l.amount_minor / 0 == 1",
            "buyer.bound && lines.exists(m, m.line_id != l.line_id)", "lines.map(m, [m]).size() > 2",
        ])
    )  # fmt: skip
    how = draw(st.sampled_from(["exists", "all", "exists_one", "filter"]))
    return f"{over}.{how}(l, {each}){'.size() > 1' if how == 'filter' else ''}"


@st.composite
def details(draw: st.DrawFn) -> Details:
    """An order's lines and attributes, of which a condition may miss some."""
    texts, attributes = st.sampled_from("axz"), st.sampled_from([{}, {"colour": "red"}, {"colour": "blue"}])
    lines = st.builds(Line, texts, texts, texts, st.integers(0, 200), attributes)
    return Details(draw(st.lists(lines, max_size=4)), attributes=draw(st.sampled_from([{}, {"sku": "x"}])))


def by_itself(condition: CelCondition, facts: SharedFacts) -> bool:
    """Evaluates a condition with facts that it shares with no other."""
    return condition.holds({name: facts.values[name] for name in condition.names})


@given(st.lists(asked(), min_size=1, max_size=8), details(), st.sampled_from([0, 300, 5_000, MAX_KEPT_UNITS]))
def test_it_comes_to_the_same_whether_facts_are_shared(texts: list[str], of: Details, kept: int) -> None:
    subject = read_plan(
        "shop", 1, "USD",
        plan_pb2.Plan(assets=[usd()], rules=[rule(f"r{number}", when=text) for number, text in enumerate(texts)]),
        None, stored=True,
    )  # fmt: skip
    for left_minor in (10_000, 5_000):
        order = detailed(of, conversion_id="[a-z", remaining_minor=left_minor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conditions, "MAX_KEPT_UNITS", kept)
            shared = decide(subject, order)
            patch.setattr(CelCondition, "holds_among", by_itself)
            assert decide(subject, order) == shared


def test_lines_are_handed_over_once_for_all_conditions_of_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    handed, make = [0], conditions._line

    def counted(line: Line) -> object:
        handed[0] += 1
        return make(line)

    monkeypatch.setattr(conditions, "_line", counted)
    subject = plan(*worst_plans.conditions_on_lines().rules)
    decide(subject, detailed(LARGE))
    assert handed[0] == len(LARGE.lines)
    decide(subject, detailed(LARGE, remaining_minor=5_000))
    assert handed[0] == 3 * len(LARGE.lines)  # of the whole, then of the rest


def kept() -> int:
    """How many orders the library is handed and keeps."""
    return sum(isinstance(each, conditions._Handed) for each in gc.get_objects())


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Garbage that only the collector finds stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("asked", ["l.sku == 'sku'", "l.attributes['none'] == 'an error'"])
@pytest.mark.usefixtures("no_collection")
def test_nothing_is_kept_of_orders_that_wait_to_be_decided(asked: str) -> None:
    on_lines = f"lines.exists(l, {asked})"
    qualified = plan_pb2.Qualification(when=on_lines, otherwise=plan_pb2.UNQUALIFIED_SKIP)
    subject = plan(
        rule("r1", when=on_lines), rule("r2", qualification=qualified), counters=[counter(when=f"!{on_lines}")]
    )
    prepared = [prepare(subject, detailed(LARGE)) for _ in range(10)]
    assert kept() == 0
    decided = [each.decide(RunningTallies({}), 1) for each in prepared]
    assert kept() == 0
    assert len(decided) == 10
    assert decide(subject, detailed(LARGE, remaining_minor=5_000))
    assert kept() == 0


CHILD = f"""
import sys
from services.rewards.domain.plan.condition import SharedFacts
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.variables import Scope
from tests.unit.rewards.test_shared_facts import LARGE

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * {PAGE_BYTES}

compiled = Compiler([]).compile(sys.argv[1], Scope.CONVERSION)
facts = SharedFacts({{"lines": LARGE.lines, "event.conversion_id": "c" * 256, "event.attributes": {{}}}})
before = most = resident()
for _ in range({EVALUATIONS}):
    compiled.holds_among(facts)
    most = max(most, resident())
print(most - before)
"""


@pytest.mark.parametrize(
    "text",
    [
        "lines.map(l, l).size() == 500",
        "lines.filter(l, [l, l].map(k, [k]).size() > 1).size() == 500",
        f"[event.conversion_id]{'.map(a, a + a)' * 12}.size() == 1",
    ],
)
def test_what_evaluations_build_is_never_kept_for_long(text: str) -> None:
    child = [sys.executable, "-c", CHILD, text]
    run = subprocess.run(child, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    # Twice, for the order itself and what the allocator keeps. Without a bound it would be 400 to 950 MB.
    assert int(run.stdout) < 2 * KEPT_BYTES
