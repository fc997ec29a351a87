"""The costs of a program file's plan and what is suspicious in it are told without any service."""

from pathlib import Path

import pytest

from cli.bundle.problems import BundleError
from cli.bundle.program import decode
from cli.plan_check import check_plan, cost_lines, warning_lines

PROGRAMS = sorted(Path("programs").rglob("*.yaml"))
FILE = """
program:
  program_id: shop
  currency_code: USD
  title: Shop
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND, credit_before_binding: NOT_CREDITED}
plan:
  assets: [{code: USD, kind: MONEY}, {code: points, kind: POINTS}]
  rules:
    - rule_id: welcome
      on: [sign_up]
      to: {buyer: {}}
      amount: {fixed: {amount_minor: 100}}
      asset: points
    - rule_id: sale
      on: [order]
      to: {upline: {from_level: 1, to_level: 2}}
      amount: {per_level: {percents: ["5", "2"]}}
      asset: USD
      when: %s
"""


def checked(when: str):  # type: ignore[no-untyped-def]
    bundle = decode((FILE % when).encode(), "shop.yaml")
    return bundle, check_plan(bundle)


def test_warnings_have_their_place_and_costs_their_unit() -> None:
    bundle, found = checked("'true'")
    (line,) = warning_lines(bundle, found.warnings)
    assert line.startswith("shop.yaml:10:7: warning: rule 'welcome' pays the same for each sign_up")
    assert line.endswith("[COSTS_NOTHING_TO_TRIGGER]")
    assert cost_lines(found) == ["order: at most 7 % of the order", "sign_up: at most 100 points"]


@pytest.mark.parametrize("with_plan", [True, False])
def test_a_policy_that_does_not_say_who_is_credited_before_the_binding_is_warned_of(with_plan: bool) -> None:
    unsaid = (FILE % "event.amount_minor > 0").replace(", credit_before_binding: NOT_CREDITED", "")
    bundle = decode((unsaid if with_plan else unsaid.partition("plan:")[0]).encode(), "shop.yaml")
    line, *rest = warning_lines(bundle, check_plan(bundle).warnings)
    assert len(rest) == with_plan
    assert line.startswith("shop.yaml:6:3: warning: program.policy does not say who is credited for orders from before")
    assert "write credit_before_binding: NOT_CREDITED for nobody, or CREDITED" in line
    assert line.endswith("[CREDIT_BEFORE_BINDING_UNSET]")
    by_itself = decode(unsaid.replace("LIFETIME", "PER_CONVERSION").encode(), "shop.yaml")
    assert {each.code for each in check_plan(by_itself).warnings} == {"COSTS_NOTHING_TO_TRIGGER"}


def test_a_mistake_in_a_condition_is_told_with_its_line() -> None:
    with pytest.raises(BundleError) as caught:
        checked("event.amout_minor > 5")
    assert str(caught.value).startswith(
        "shop.yaml:20:7: plan.rules[1].when: rule 'sale': line 1, column 6: 'event.amout_minor' is not known; did you "
        "mean event.amount_minor?"
    )


@pytest.mark.parametrize(
    "file", [each for each in PROGRAMS if ".scenario." not in each.name], ids=lambda each: each.stem
)
def test_every_program_is_valid_and_says_what_it_costs(file: Path) -> None:
    bundle = decode(file.read_bytes(), file.name)
    assert bundle.plan is not None
    assert len(cost_lines(check_plan(bundle))) == len({each for rule in bundle.plan.rules for each in rule.on})
