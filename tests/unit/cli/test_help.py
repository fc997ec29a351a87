"""Whoever reads an amount is told what it is counted in."""

import pytest
from typer.testing import CliRunner

from cli.__main__ import app


@pytest.mark.parametrize(
    ("command", "unit"),
    [
        ("wallet", "whole units"),
        ("report", "whole units"),
        ("simulate", "whole units"),
        ("payouts list", "whole units"),
        ("payouts batch", "whole units"),
        ("approvals list", "whole units"),
        ("leaderboard", "minor units (cents) of the program's currency"),
        ("audit", "minor units"),
        ("replay", "amount_minor"),
        ("", "whole units"),
    ],
)
def test_help_says_the_unit(command: str, unit: str) -> None:
    shown = " ".join(CliRunner().invoke(app, [*command.split(), "--help"]).output.split())
    assert unit in shown
