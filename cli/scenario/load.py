"""A scenario file, read and checked as far as it can be without playing it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from cli.bundle.problems import BundleError, Position, Problem
from cli.bundle.program import Bundle, nearest_position
from cli.bundle.source import parse, position_of
from cli.scenario.decode import ShapeDecoder, load_sound_program
from cli.scenario.shapes.events import Order
from cli.scenario.shapes.scenario import ACTIONS, Scenario, Step


@dataclass(slots=True)
class ScenarioFile:
    """A scenario that holds to its format, with all that is needed to play it."""

    file: str
    scenario: Scenario
    program: Bundle
    applied: dict[str, Bundle]
    """Other program files that it applies, by their name in it."""
    digits: dict[str, int]
    """The decimal places of each asset and currency."""
    only_asset: str
    """The plan's asset, where it has one only."""
    positions: dict[str, Position] = field(default_factory=dict)

    def position(self, path: str) -> Position:
        """The position of a path, or of the nearest thing around it."""
        return nearest_position(self.positions, path)

    def moment(self, when: timedelta | datetime) -> datetime:
        """The moment that the file means."""
        return when if isinstance(when, datetime) else self.scenario.start + when


def read_scenario_file(file: Path) -> ScenarioFile:
    """Reads and checks a scenario and its program file. Raises BundleError with every mistake of the one at fault,
    OSError if the scenario cannot be read."""
    name = str(file)
    root = parse(file.read_bytes(), name, "a scenario is a mapping with `program:`, `start:` and `steps:`")
    shape_decoder = ShapeDecoder(file.parent, _program(root, file, name))
    scenario = shape_decoder.value(root, Scenario, "")
    problems = shape_decoder.decoder.problems
    if isinstance(scenario, Scenario):
        scenario_file = ScenarioFile(
            name,
            scenario,
            shape_decoder.program,
            shape_decoder.applied,
            shape_decoder.digits,
            shape_decoder.only_asset(),
            shape_decoder.decoder.positions,
        )
        problems += _order_problems(scenario_file)
        problems += _amount_problems(scenario_file) if not problems else []
        if not problems:
            return scenario_file
    raise BundleError(name, problems)


def _program(root: yaml.MappingNode, file: Path, name: str) -> Bundle:
    """The program that the scenario is of. It is looked for first, for all the rest is held against it."""
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "program" and isinstance(value, yaml.ScalarNode):
            try:
                return load_sound_program(file.parent / value.value)
            except OSError as error:
                text = f"{file.parent / value.value}: {error.strerror}"
                raise BundleError(name, [Problem(position_of(value), "program", text)]) from error
    raise BundleError(name, [Problem(position_of(root), "program", "is missing: the program file, beside this one")])


def _order_problems(scenario_file: ScenarioFile) -> list[Problem]:
    """Steps that do nothing or too much, and times that go back."""
    problems = []
    now = scenario_file.scenario.start
    for index, step in enumerate(scenario_file.scenario.steps):
        path = f"steps[{index}]"
        if text := _action_problem(step):
            problems.append(Problem(scenario_file.position(path), path, text))
        if step.at is not None:
            moment = scenario_file.moment(step.at)
            if moment < now:
                problems.append(
                    Problem(scenario_file.position(f"{path}.at"), f"{path}.at", "lies before the step ahead of it")
                )
            now = max(now, moment)
        if step.expect is not None and step.refused is not None:
            problems.append(
                Problem(scenario_file.position(f"{path}.refused"), f"{path}.refused", "nothing is done here")
            )
    return problems


def _action_problem(step: Step) -> str:
    given = list(step.actions())
    if len(given) == 1 or (not given and step.at is not None):
        return ""
    if given:
        return f"does {' and '.join(given)}: one of them a step"
    return f"one of these must be given: {', '.join(ACTIONS)}"


def _amount_problems(scenario_file: ScenarioFile) -> list[Problem]:
    """Amounts that cannot be right. A step that is meant to be refused may have them."""
    problems = []

    def note(path: str, text: str) -> None:
        problems.append(Problem(scenario_file.position(path), path, text))

    for index, step in enumerate(scenario_file.scenario.steps):
        if step.refused is not None:
            continue
        for name, action in step.actions().items():
            path = f"steps[{index}].{name}"
            for here, value in _amounts(action, path):
                if value < 0:
                    note(
                        here,
                        f"{value} is below zero: amounts are not negative; what somebody owes is written as a debt",
                    )
            if isinstance(action, Order) and action.amount is not None and action.lines:
                total = sum((line.amount for line in action.lines), Decimal(0))
                if total != action.amount:
                    note(
                        f"{path}.amount", f"the lines sum to {total}, not to {action.amount}; left out, it is their sum"
                    )
    return problems


def _amounts(value: Any, path: str) -> Iterator[tuple[str, Decimal]]:
    """Every amount inside a value of the file, with its path."""
    if isinstance(value, Decimal):
        yield path, value
    elif is_dataclass(value):
        for each in fields(value):
            yield from _amounts(getattr(value, each.name), f"{path}.{each.name}")
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from _amounts(inside, f"{path}[{key}]")
    elif isinstance(value, tuple):
        for number, inside in enumerate(value):
            yield from _amounts(inside, f"{path}[{number}]")
