"""Which conversions are decided among others, and which apart."""

import pytest

from bench import worst_plans
from services.rewards.domain.plan.plan import MAX_LEVEL
from tests.unit.rewards.plans import plan, rule, upline


def test_an_ordinary_plan_is_quick_for_every_conversion() -> None:
    assert plan(rule(to=upline(1, 10), when="event.amount_minor > 100 && 'vip' in buyer.attributes")).is_quick("order")


def test_a_condition_on_lines_takes_long_where_there_are_many() -> None:
    read = plan(rule(when="lines.exists(l, l.category == 'wine')"))
    assert not read.is_quick("order")
    assert read.is_quick_for("order", 1, 3)
    assert read.is_quick_for("order", MAX_LEVEL, 100)
    assert not read.is_quick_for("order", 1, 500)


def test_rules_for_everybody_take_long_where_many_are_above() -> None:
    read = plan(*worst_plans.many_conditions().rules)
    assert not read.is_quick_for("order", MAX_LEVEL, 0)
    assert read.is_quick_for("order", 1, 0)


@pytest.mark.parametrize("worst", [worst_plans.costly_conditions, worst_plans.many_rewards])
def test_the_worst_plans_take_long(worst) -> None:  # type: ignore[no-untyped-def]
    assert not plan(*worst().rules).is_quick_for("order", MAX_LEVEL, 1)
