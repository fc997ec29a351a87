"""Every program that ships: its plan is sound, what is suspicious in it is said to be meant, and a scenario plays all
of its life."""

from pathlib import Path

import pytest
from upline.attribution.v1 import program_pb2

from cli.bundle.program import load
from cli.plan_check import check_plan
from cli.scenario.load import ScenarioFile, read_scenario_file

PROGRAMS = sorted(file for file in Path("programs").rglob("*.yaml") if not file.name.endswith(".scenario.yaml"))
UNPAID = "contest-platform"
"""Nobody is paid there: nothing is told and nothing taken back."""
REPLAYED = "three-levels"
"""Played by a whole shop's purchases instead."""
RECIPES = Path("programs/recipes")
"""Programs that show one thing each: people are told of it in the built-in words."""


def scenarios() -> list[Path]:
    """The program files that have to have a scenario."""
    return [file for file in PROGRAMS if file.stem != REPLAYED]


def paying() -> list[Path]:
    """The shipped programs that pay somebody."""
    return [file for file in scenarios() if file.stem != UNPAID]


def telling() -> list[Path]:
    """Those of them that have words of their own."""
    return [file for file in paying() if file.parent != RECIPES]


def script_of(program: Path) -> ScenarioFile:
    """The scenario beside a program."""
    return read_scenario_file(program.with_suffix(".scenario.yaml"))


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_what_the_linter_warns_of_is_said_to_be_meant(file: Path) -> None:
    comments = "".join(line for line in file.read_text().splitlines() if line.lstrip().startswith("#"))
    warned = {each.code for each in check_plan(load(file)).warnings}
    assert {code for code in warned if f"{code} is meant: " not in comments} == set()


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_it_says_who_is_credited_for_what_was_before_the_binding(file: Path) -> None:
    policy = load(file).program.policy
    assert bool(policy.credit_before_binding) == (policy.binding == program_pb2.BINDING_LIFETIME)


@pytest.mark.parametrize("file", telling(), ids=lambda file: file.stem)
def test_people_are_told_in_both_languages(file: Path) -> None:
    texts = load(file).texts
    assert texts is not None
    assert {each.locale for each in texts.locales} == {"en", "ru"}


@pytest.mark.parametrize("file", paying(), ids=lambda file: file.stem)
def test_its_scenario_takes_back_a_part_and_the_whole(file: Path) -> None:
    refunds = [step.refund for step in script_of(file).scenario.steps if step.refund and not step.refused]
    whole = [each for each in refunds if each.amount is None and not each.lines]
    assert len(refunds) > len(whole) > 0


@pytest.mark.parametrize("file", scenarios(), ids=lambda file: file.stem)
def test_its_scenario_says_who_has_what_and_who_was_told(file: Path) -> None:
    expected = [step.expect for step in script_of(file).scenario.steps if step.expect]
    assert any(each.inbox for each in expected) or file.parent == RECIPES
    assert any(each.wallets or each.contests for each in expected)
