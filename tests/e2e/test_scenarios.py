"""Every shipped scenario, through one real stack whose clock is moved; and what a person sees of one that is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stacks import environment

SHIPPED = sorted(Path("programs").rglob("*.scenario.yaml"))
WRONG = """\
program: {program}
start: 2026-03-02T09:00:00Z
people:
  olga: {{}}
  maria: {{sponsor: olga}}
steps:
  - order: {{id: first, buyer: maria, amount: 1000.00}}
  - expect:
      wallets:
        olga: {{USD: 50.01}}                                  # 1 000.00 × 5 % is 50.00
        maria: {{USD: 1.00}}
      rewards:
        first: [{{rule: upline, to: olga, amount: 49.99}}]
      inbox:
        olga: [{{kind: REWARD_REVERSED}}]
        maria: []
      credit:
        first: {{to: maria}}
  - refund: {{of: first, amount: 1000.01}}
  - expect: {{}}
"""
CHANGED = """\
program: terms.yaml
start: 2026-03-02T09:00:00Z
people:
  olga: {}
  maria: {sponsor: olga}
steps:
  - order: {id: old, buyer: maria, amount: 1000.00}
  - at: +1d
    apply: better.yaml
  - order: {id: new, buyer: maria, amount: 1000.00}
  - at: +2d
    note: told late, it happened under the old terms
    order: {id: late, buyer: maria, amount: 1000.00, occurred: +23h59m59s}
  - expect:
      wallets:
        olga: {USD: 200.00}                                   # 50.00 + 100.00 + 50.00
      rewards:
        old: [{rule: upline, to: olga, amount: 50.00, version: 1}]
        new: [{rule: upline, to: olga, amount: 100.00, version: 2}]
        late: [{rule: upline, to: olga, amount: 50.00, version: 1}]
  - at: +800d
    note: refunds years later, each under its own terms
    refund: {of: old, amount: 300.00}
  - refund: {of: new, amount: 300.00}
  - expect:
      wallets:
        olga: {USD: 155.00}                                   # 35.00 + 70.00 + 50.00
"""
PLACES = [
    ("10:16", "steps[1].expect.wallets[olga][USD].available", "50.01", "50.00"),
    ("11:17", "steps[1].expect.wallets[maria][USD].available", "1.00", "0.00"),
    ("13:9", "steps[1].expect.rewards[first]", "rule: upline, to: olga, amount: 49.99",
     "rule: upline, to: olga, amount: 50.00"),
    ("15:9", "steps[1].expect.inbox[olga]", "kind: REWARD_REVERSED", "kind: REWARD_EARNED, event: first"),
    ("18:17", "steps[1].expect.credit[first].to", "maria", "olga"),
    ("19:5", "steps[2].refund", "is done", "is refused: NOT_LEFT"),
]  # fmt: skip


def play(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "scenario", *arguments],
        env=environment(), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario that expects what does not happen."""
    file = Path(tmp_path_factory.mktemp("scenarios")) / "wrong.scenario.yaml"
    file.write_text(WRONG.format(program=Path("programs/three-levels.yaml").absolute()))
    return file


@pytest.fixture(scope="module")
def changed(wrong: Path) -> Path:
    """A scenario in which a program changes."""
    plain = Path("programs/three-levels.yaml").read_text().replace("program_id: three-levels", "program_id: terms")
    wrong.with_name("terms.yaml").write_text(plain)
    wrong.with_name("better.yaml").write_text(plain.replace('["5", "2", "1"]', '["10", "4", "2"]'))
    file = wrong.with_name("changed.scenario.yaml")
    file.write_text(CHANGED)
    return file


@pytest.fixture(scope="module")
def played(wrong: Path, changed: Path) -> dict[str, Any]:
    """The results of all scenarios, by file name, played through one stack."""
    result = play(*map(str, SHIPPED), str(changed), str(wrong), "--json")
    assert result.returncode == 1, result.stderr  # for one of them is wrong
    assert result.stdout, result.stderr
    told = json.loads(result.stdout)
    assert told["passed"] is False
    return {Path(each["file"]).name: each for each in told["files"]}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_scenario_ends_as_it_says(played: dict[str, Any], file: Path) -> None:
    result = played[file.name]
    assert result["differences"] == []
    assert result["passed"] is True
    assert result["rebuilt"]["conversions"] > 0  # the ledger it left was computed again, and nothing of it differs


def test_every_event_keeps_the_terms_of_its_time(played: dict[str, Any], changed: Path) -> None:
    assert played[changed.name]["differences"] == []


def test_what_differs_is_told_with_its_place(played: dict[str, Any], wrong: Path) -> None:
    found = played[wrong.name]["differences"]
    assert [(f"{each['line']}:{each['column']}", each["path"]) for each in found] == [each[:2] for each in PLACES]
    for each, (_place, _path, expected, there) in zip(found, PLACES, strict=True):
        assert expected in each["expected"][0]
        assert there in each["found"][0]


def test_a_scenario_stops_where_a_step_goes_wrong(played: dict[str, Any], wrong: Path) -> None:
    assert played[wrong.name]["steps"] == 2
    assert played[wrong.name]["rebuilt"] is None


def test_a_bad_file_is_refused_before_anything_starts(wrong: Path) -> None:
    wrong.with_name("bad.yaml").write_text("program: nowhere.yaml\n")
    result = play(str(wrong), str(wrong.with_name("bad.yaml")))
    assert result.returncode == 1
    assert result.stdout == ""
    assert "bad.yaml:1:10: program: " in result.stderr
