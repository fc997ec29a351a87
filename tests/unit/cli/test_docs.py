"""Programs, scenarios and plans that the docs show hold to their formats, and the reference tells all that there is."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cli.bundle.program import decode, load
from cli.plan_check import check_plan
from cli.scenario.load import read_scenario_file
from services.rewards.domain.check.lint import WarningKind
from services.rewards.wire.conditions import Compiler, Scope
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


def test_every_warning_is_told() -> None:
    warnings = (REFERENCE / "plan-language.md").read_text().partition("\n## Warnings\n")[2]
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", warnings, re.MULTILINE))
    assert told == {each.value.upper() for each in WarningKind}
