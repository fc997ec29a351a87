"""Every example of docs/plans.md is a part of a plan that can be published, and every variable of conditions is told."""

import re
from pathlib import Path

import pytest

from cli.bundle.program import decode
from cli.checking import check_plan
from services.rewards.domain.check.lint import WarningKind
from services.rewards.wire.conditions import Compiler, Scope

PAGE = Path("docs/plans.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
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
            assert f"`{name}`" in PAGE, name


def test_every_warning_is_told() -> None:
    warnings = PAGE.partition("\n## Warnings\n")[2]
    assert {each.value.upper() for each in WarningKind} == set(
        re.findall(r"^\| `([A-Z_]+)` \|", warnings, re.MULTILINE)
    )


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings
