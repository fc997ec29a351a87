"""Every mistake in a scenario file is told with its line and column, all of them at once, before anything is
started."""

from pathlib import Path

import pytest

from cli.bundle.problems import BundleError
from cli.scenario.load import ScenarioFile, read_scenario_file

PROGRAM = """\
program:
  program_id: coffee
  currency_code: USD
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND}
plan:
  assets:
    - {code: USD, kind: MONEY}
    - {code: points, kind: POINTS, minor_digits: 1}
  rules:
    - rule_id: sponsor
      on: [order]
      to: {upline: {from_level: 1, to_level: 1}}
      amount: {percent: {percent: "5"}}
      asset: USD
"""
GOOD = """\
program: coffee.yaml
start: 2026-03-02T09:00:00Z
people:
  anna: {}
  ben: {sponsor: anna, sign_up: true}
steps:
  - link: {id: home, owner: anna, to: "https://coffee.example/"}
  - at: +1d
    order: {id: o1, buyer: carl, amount: 12.50}
  - at: 2026-03-05T09:00:00Z
    refund: o1
  - refund: {of: o1, amount: 1.00}
    refused: ALL_REVERSED
  - at: +4d
  - expect:
      wallets:
        anna: {USD: {available: 0.62, held: 0.00}, points: 1.5}
        carl: {}
      rewards:
        o1: [{rule: sponsor, to: anna, amount: 0.62, asset: USD, state: available}]
        "sign_up:ben": []
      inbox:
        anna: [{kind: REWARD_EARNED, event: o1}, "0.62"]
"""


def read(folder: Path, text: str) -> ScenarioFile:
    """The scenario, with its program beside it."""
    (folder / "coffee.yaml").write_text(PROGRAM)
    file = folder / "coffee.scenario.yaml"
    file.write_text(text)
    return read_scenario_file(file)


def mistakes(folder: Path, text: str) -> list[str]:
    """The lines a person would see, without the folder; nothing for a good file."""
    try:
        read(folder, text)
    except BundleError as error:
        return str(error).replace(f"{folder}/", "").splitlines()
    return []


def test_a_good_file_has_no_mistakes(tmp_path: Path) -> None:
    script = read(tmp_path, GOOD)
    assert [list(step.actions()) for step in script.scenario.steps] == [
        ["link"],
        ["order"],
        ["refund"],
        ["refund"],
        [],
        ["expect"],
    ]
    expect = script.scenario.steps[-1].expect
    assert expect is not None
    assert [entry.text for entry in expect.inbox["anna"]] == ["", "0.62"]
    assert str(expect.wallets["anna"]["points"].available) == "1.5"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "start:",
            "begin:",
            ["2:1: begin: unknown field; known here: program, start, people, steps", "1:1: start: is missing"],
        ),
        (
            "2026-03-02T09:00:00Z",
            "yesterday",
            ["2:8: start: expected a time with its zone such as 2026-01-31T09:00:00Z"],
        ),
        (
            "sponsor: anna",
            "sponsor: ana",
            ['5:18: people[ben].sponsor: there is no person ana so far; did you mean "anna"?'],
        ),
        (
            "  ben:",
            "  anna:",
            [
                "5:3: people.anna: stands twice; first on line 4",
                "21:9: steps[5].expect.rewards[sign_up:ben]: there is no event sign_up:ben so far",
            ],
        ),
        ("id: home, owner", "owner", ["7:11: steps[0].link.id: is missing"]),
        (
            "at: +1d",
            "at: 1 day",
            [
                "8:9: steps[1].at: expected a duration such as 30d, 12h, 1d12h or 90s, counted from "
                "the start, or a time with its zone"
            ],
        ),
        ("at: 2026-03-05T09:00:00Z", "at: +1h", ["10:5: steps[2].at: lies before the step ahead of it"]),
        (
            "amount: 12.50}",
            "amount: 12.505}",
            ["9:42: steps[1].order.amount: USD has 2 decimal places, 12.505 has more"],
        ),
        (
            "amount: 12.50}",
            "amount: 12.50, lines: [{amount: 0.001}]}",
            ["9:66: steps[1].order.lines[0].amount: USD has 2 decimal places, 0.001 has more"],
        ),
        (
            "amount: 12.50}",
            "amount: 1e2}",
            ['9:42: steps[1].order.amount: expected an amount such as 12.50, found "1e2"'],
        ),
        (
            "refund: o1",
            "refund: o2",
            ["11:13: steps[2].refund: there is no event o2 so far; known here: sign_up:ben, o1"],
        ),
        (
            "    refund: o1",
            "    refund: o1\n    order: {id: o3, buyer: carl}",
            ["10:5: steps[2]: does order and refund: one of them a step"],
        ),
        (
            "points: 1.5",
            "points: 1.55",
            ["17:60: steps[5].expect.wallets[anna][points].available: points has 1 decimal place, 1.55 has more"],
        ),
        (
            "points: 1.5",
            "point: 1.5",
            ['17:52: steps[5].expect.wallets[anna][point]: the plan has no asset point; did you mean "points"?'],
        ),
        (
            "held: 0.00",
            "holding: 0.00",
            [
                "17:39: steps[5].expect.wallets[anna][USD].holding: unknown field; known "
                "here: available, held, reserved, debt"
            ],
        ),
        ("state: available", "state: there", ['20:73: steps[5].expect.rewards[o1][0].state: "there" is not one of']),
        (
            "kind: REWARD_EARNED",
            "kind: [REWARD_EARNED]",
            ["23:23: steps[5].expect.inbox[anna][0].kind: expected text, found a list"],
        ),
        ("amount: 12.50}", "amount: -12.50}", ["9:34: steps[1].order.amount: -12.50 is below zero"]),
        (
            "amount: 12.50}",
            "amount: 12.50, lines: [{amount: 6.00}, {amount: 6.49}]}",
            ["9:34: steps[1].order.amount: the lines sum to 12.49, not to 12.50"],
        ),
        (
            "available: 0.62",
            "available: -0.62",
            ["17:22: steps[5].expect.wallets[anna][USD].available: -0.62 is below zero"],
        ),
        (
            "rule: sponsor",
            "rule: sponser",
            ['20:21: steps[5].expect.rewards[o1][0].rule: the plan has no rule sponser; did you mean "sponsor"?'],
        ),
        ("coffee.yaml", "tea.yaml", ["1:10: program: tea.yaml: No such file or directory"]),
        ("program: coffee.yaml\n", "", ["1:1: program: is missing: the program file, beside this one"]),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    assert GOOD.count(old) >= 1
    found = mistakes(tmp_path, GOOD.replace(old, new, 1))
    wanted = sorted((f"coffee.scenario.yaml:{line}" for line in told), key=_place)
    assert len(found) == len(wanted), found
    for line, start in zip(found, wanted, strict=True):
        assert line.startswith(start), found


def _place(line: str) -> tuple[int, int]:
    _file, row, column, _rest = line.split(":", maxsplit=3)
    return int(row), int(column)


def test_a_step_without_anything_is_refused(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, GOOD.replace("  - at: +4d\n", "  - note: nothing happens\n"))
    assert line.startswith("coffee.scenario.yaml:14:5: steps[4]: one of these must be given: enrol, ")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("sponsor: anna", "sponsor: nobody").replace("12.50", "lots").replace("refund: o1", "refnd: o1")
    assert [line.split(": ")[1] for line in mistakes(tmp_path, text)] == [
        "people[ben].sponsor",
        "steps[1].order.amount",
        "steps[2].refnd",
    ]


def test_a_mistake_in_the_program_is_told_of_the_program(tmp_path: Path) -> None:
    file = tmp_path / "coffee.scenario.yaml"
    file.write_text(GOOD)
    (tmp_path / "coffee.yaml").write_text(PROGRAM.replace("LAST", "LATS"))
    with pytest.raises(BundleError, match=r"coffee\.yaml:4:19: program\.policy\.touch"):
        read_scenario_file(file)


def test_a_plan_that_no_service_would_take_is_told_of_the_program(tmp_path: Path) -> None:
    file = tmp_path / "coffee.scenario.yaml"
    file.write_text(GOOD)
    (tmp_path / "coffee.yaml").write_text(PROGRAM.replace("      asset: USD", "      asset: EUR"))
    with pytest.raises(BundleError, match=r"coffee\.yaml:14:7: plan\.rules\[0\]\.asset"):
        read_scenario_file(file)


def test_a_step_that_is_meant_to_be_refused_may_be_wrong(tmp_path: Path) -> None:
    step = "  - order: {id: o9, buyer: carl, amount: 3.00, lines: [{amount: 1.00}]}\n    refused: INVALID_FIELD\n"
    assert mistakes(tmp_path, GOOD.replace("  - at: +4d\n", step)) == []
    assert mistakes(tmp_path, GOOD.replace("  - at: +4d\n", step.replace("    refused: INVALID_FIELD\n", ""))) != []


def test_every_shipped_scenario_is_valid() -> None:
    files = sorted(Path("programs").rglob("*.scenario.yaml"))
    assert files
    for file in files:
        read_scenario_file(file)
