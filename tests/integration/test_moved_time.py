"""A clock can be moved in a stack for tests only."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.clock import SystemClock
from chassis.file_clock import ClockFile, clock_for
from tests.conftest import Servers


def test_a_database_that_is_not_for_tests_refuses_a_moved_clock(servers: Servers, tmp_path: Path) -> None:
    settings = servers.settings("rewards")
    assert isinstance(clock_for(settings, "rewards"), SystemClock)
    file = ClockFile(tmp_path / "clock", datetime(2026, 3, 1, tzinfo=UTC)).file
    moved = settings.model_copy(update={"test_clock_file": file})
    with pytest.raises(RuntimeError, match="not that of a stack for tests"):
        clock_for(moved, "rewards")
