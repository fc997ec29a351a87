"""Programs, scenarios and plans that the docs show hold to their formats, and the reference tells all that there is."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from cli.bundle.program import decode, load
from cli.plan_check import check_plan
from cli.scenario.load import read_scenario_file
from services.rewards.domain.check.lint import WarningKind
from services.rewards.domain.details import Line
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.variables import Scope
from tools.check_docs import ROOT, Block, blocks, pages

REFERENCE = ROOT / "docs" / "reference"
EXAMPLES = [each for page in pages() for each in blocks(page) if each.language in {"yaml", "json"}]
PROGRAM = """program:
  program_id: shop
  currency_code: EUR
  title: Shop
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND}
"""


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("example", EXAMPLES, ids=place)
def test_every_example_holds_to_its_format(example: Block, tmp_path: Path) -> None:
    for each in EXAMPLES:
        if each.page == example.page and (named := re.match(r"# (\S+\.yaml)\n", each.text)):
            (tmp_path / named[1]).write_text(each.text)
    file = tmp_path / "example.yaml"
    file.write_text(example.text)
    sections = set(json.loads(example.text) if example.language == "json" else yaml.safe_load(example.text))
    assert sections
    if example.language == "json":
        return
    if "steps" in sections:
        read_scenario_file(file)
    elif "program" in sections:
        check_plan(load(file))
    elif sections & {"plan", "texts"}:
        decode((PROGRAM + example.text).encode(), place(example))
    else:
        check_plan(decode((PROGRAM + _as_plan(example.text)).encode(), place(example)))


def _as_plan(rules: str) -> str:
    """A section `plan` of rules whose asset is EUR unless they say otherwise."""
    assets = "" if "assets:" in rules else "assets: [{code: EUR, kind: MONEY}]\n"
    return "plan:\n" + "".join(f"  {line}\n" for line in (assets + rules).splitlines())


def test_every_variable_is_told() -> None:
    page = (REFERENCE / "conditions.md").read_text()
    compiler = Compiler(["NAME"])
    for scope in Scope:
        for name in compiler.names(scope):
            assert f"`{name}`" in page, name


def operators() -> list[str]:
    """The examples of operators and functions, as they stand in the last column of their table."""
    table = (REFERENCE / "conditions.md").read_text().partition("## Operators and functions")[2]
    rows = re.findall(r"^\| `.* \| `(.*)` \|$", table, re.MULTILINE)
    return [row.replace("\\|", "|") for row in rows]


@pytest.mark.parametrize("example", operators())
def test_every_example_of_a_condition_is_true_of_the_order_it_is_about(example: str) -> None:
    condition = Compiler(["friends"]).compile(example, Scope.PERSON)
    wine = Line("1", "merlot", "wine", 200_000, {})
    cheese = Line("2", "brie", "cheese", 50_000, {})
    order = {
        "event.amount_minor": 250_000, "event.hour": 18, "event.new_customer": True, "event.code": "VIP-7",
        "event.campaign": "spring-sale", "event.attributes": {"shop": "spb"}, "lines": (wine, cheese),
        "event.occurred_at": datetime(2026, 12, 24, 18, 30, tzinfo=UTC),
        "buyer.attributes": {}, "counters.friends": 12,
    }  # fmt: skip
    assert condition.holds(order)


def test_every_warning_is_told() -> None:
    warnings = (REFERENCE / "plan-language.md").read_text().partition("\n## Warnings\n")[2]
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", warnings, re.MULTILINE))
    assert told == {each.value.upper() for each in WarningKind}
