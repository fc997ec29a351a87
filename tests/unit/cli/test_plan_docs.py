"""Examples of plans in the docs can be published, and the reference tells every variable and warning there is."""

import re
from pathlib import Path

import pytest

from cli.bundle.program import decode
from cli.plan_check import check_plan
from services.rewards.domain.check.lint import WarningKind
from services.rewards.wire.conditions import Compiler, Scope

REFERENCE = Path("docs/reference")
LANGUAGE, CONDITIONS = ((REFERENCE / name).read_text() for name in ("plan-language.md", "conditions.md"))
PAGES = [LANGUAGE, CONDITIONS, Path("docs/concepts/plans.md").read_text()]
EXAMPLES = [example for page in PAGES for example in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
PROGRAM = """program:
  program_id: shop
  currency_code: EUR
  title: Shop
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND}
plan:
"""


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_plan(number: int) -> None:
    example = EXAMPLES[number]
    if "assets:" not in example:
        example = "assets: [{code: EUR, kind: MONEY}]\n" + example
    indented = "".join(f"  {line}\n" for line in example.splitlines())
    check_plan(decode((PROGRAM + indented).encode(), f"example {number}"))


def test_every_variable_is_told() -> None:
    compiler = Compiler(["NAME"])
    for scope in Scope:
        for name in compiler.names(scope):
            assert f"`{name}`" in CONDITIONS, name


def test_every_warning_is_told() -> None:
    warnings = LANGUAGE.partition("\n## Warnings\n")[2]
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", warnings, re.MULTILINE))
    assert told == {each.value.upper() for each in WarningKind}
