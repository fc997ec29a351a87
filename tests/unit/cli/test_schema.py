"""The schema of program files: every shipped file holds to it, and mistakes do not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from upline.rewards.v1 import plan_pb2

SCHEMA = json.loads(Path("programs/program.schema.json").read_text())
VALIDATOR = Draft7Validator(SCHEMA)
PROGRAMS = [each for each in sorted(Path("programs").rglob("*.yaml")) if ".scenario." not in each.name]


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda each: each.stem)
def test_every_program_holds_to_it(file: Path) -> None:
    problems = [f"{each.json_path}: {each.message}" for each in VALIDATOR.iter_errors(_read(file))]
    assert problems == []


def test_every_field_of_a_rule_is_described() -> None:
    rule = SCHEMA["definitions"]["rewards.v1.Rule"]["properties"]
    assert rule.keys() == {each.name for each in plan_pb2.Rule.DESCRIPTOR.fields}
    assert all(each.get("description") for each in rule.values())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rule: rule.update(assett="USD"),
        lambda rule: rule.pop("rule_id"),
        lambda rule: rule.update(on=[]),
        lambda rule: rule["to"].update(buyer={}),
        lambda rule: rule.update(to={"upline": {"from_level": 0, "to_level": 1}}),
        lambda rule: rule.update(amount={"percent": {"percent": "five"}}),
        lambda rule: rule.update(tiers={"counter": "c", "mode": "SOMETIMES", "tiers": [{"from": 1, "percent": "5"}]}),
        lambda rule: rule.update(hold={"duration": "soon"}),
    ],
)
def test_a_mistake_is_found(spoil: Callable[[dict[str, Any]], object]) -> None:
    content = copy.deepcopy(_read(Path("programs/three-levels.yaml")))
    assert VALIDATOR.is_valid(content)
    spoil(content["plan"]["rules"][0])
    assert not VALIDATOR.is_valid(content)


def _read(file: Path) -> Any:
    """The file as an editor sees it: YAML 1.2, where `on` is a word and a time is a text."""

    class Loader(yaml.SafeLoader):
        pass

    kept = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    Loader.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] in kept]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    content = yaml.load(file.read_text(), Loader)
    return _with_booleans(content)


def _with_booleans(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_booleans(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_booleans(each) for each in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
