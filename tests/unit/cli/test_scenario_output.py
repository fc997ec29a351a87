"""The output of scenarios that were played."""

import pytest

from cli.bundle.problems import Position
from cli.commands.scenario import print_scenario_result
from cli.scenario.compare.mismatch import Mismatch
from cli.scenario.play import ScenarioResult


def test_a_scenario_that_passed_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_scenario_result(ScenarioResult("uds.scenario.yaml", "uds", 24, 1.84, (), None))
    assert capsys.readouterr().out == "uds.scenario.yaml: passed; 24 steps in 1.8 seconds\n"


def test_a_difference_is_a_diff_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    amount = Mismatch("steps[1].expect.wallets[olga][points].held", ("75.00",), ("70.00",))
    told = Mismatch(
        "steps[1].expect.inbox[olga]",
        ("kind: REWARD_HELD",),
        ("kind: REWARD_EARNED, title: +1", "kind: REWARD_HELD, title: +2"),
    )
    print_scenario_result(
        ScenarioResult("uds.scenario.yaml", "uds", 2, 0.5, ((Position(14, 9), amount), (Position(16, 9), told)), None)
    )
    assert capsys.readouterr().out == (
        "uds.scenario.yaml: DIFFERS; 2 steps in 0.5 seconds\n"
        "uds.scenario.yaml:14:9: steps[1].expect.wallets[olga][points].held\n"
        "  - expected 75.00\n"
        "  + found    70.00\n"
        "uds.scenario.yaml:16:9: steps[1].expect.inbox[olga]\n"
        "  - expected kind: REWARD_HELD\n"
        "  + found    kind: REWARD_EARNED, title: +1\n"
        "  + found    kind: REWARD_HELD, title: +2\n"
    )
