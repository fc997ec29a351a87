"""docs/reference tells every exit code, every variable of the environment and every finding of the audit."""

import re
from pathlib import Path

from typer.testing import CliRunner

from cli import errors
from cli.__main__ import app
from services.rewards.store.audits.findings import FLOW_CHECKS
from services.rewards.store.audits.full import CHECKS

REFERENCE = Path("docs/reference")
READERS = ["chassis", "cli", "services", "deploy"]
VARIABLE = re.compile(r"UPLINE_[A-Z]+(?:_[A-Z]+)*")


def test_every_exit_code_is_told() -> None:
    told = re.findall(r"^\| (\d+) \|", (REFERENCE / "exit-codes.md").read_text(), re.MULTILINE)
    assert [int(code) for code in told] == sorted([0, errors.REFUSED, errors.USAGE, errors.NOT_REACHED])


def test_a_wrong_command_line_exits_as_told() -> None:
    assert CliRunner().invoke(app, ["wallet", "--nonsense"]).exit_code == errors.USAGE


def test_every_variable_is_told() -> None:
    files = [Path("docker-compose.yml"), Path(".env.example")]
    for folder in READERS:
        files += [file for file in Path(folder).rglob("*") if file.suffix in {".py", ".sh", ".yml", ".md"}]
    read = {name for file in files for name in VARIABLE.findall(file.read_text())}
    assert len(read) > 30
    assert read - set(VARIABLE.findall((REFERENCE / "settings.md").read_text())) == set()


def test_every_finding_is_told_with_what_to_do() -> None:
    page = (REFERENCE / "audit-findings.md").read_text()
    meaning, _, advice = page.partition("## What to do")
    for table in (meaning, advice):
        cells = re.findall(r"^\| (`[A-Z_`, ]+`) \|", table, re.MULTILINE)
        assert {name for cell in cells for name in re.findall(r"[A-Z_]+", cell)} == FLOW_CHECKS.union(CHECKS)
