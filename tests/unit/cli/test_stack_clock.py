"""Time is moved in a scenario's stack only, whatever the surroundings say."""

from pathlib import Path

import pytest

from chassis.embedded.state import StateDirectory
from cli.stack.layout import ExternalServers, Layout
from cli.stack.services import service_environment
from cli.stack.supervisor import Stack


def test_a_stack_takes_no_test_clock_from_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLINE_TEST_CLOCK_FILE", "/somewhere/clock")
    assert "UPLINE_TEST_CLOCK_FILE" not in service_environment({})


def test_a_stack_on_a_database_of_another_one_goes_by_real_time(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    try:
        with pytest.raises(ValueError, match="of its own"):
            Stack(
                state,
                Layout(external=ExternalServers("postgresql://elsewhere")),
                print,
                test_clock_file=tmp_path / "clock",
            )
    finally:
        state.close()
