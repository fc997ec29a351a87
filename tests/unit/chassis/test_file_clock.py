"""The clock of a stack for tests: it stands still, moves when told to, and its rounds are worked through."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from chassis.file_clock import ClockFile, FileClock
from chassis.settings import ServiceSettings

MOMENT = datetime(2026, 3, 1, 9, tzinfo=UTC)
LONG_SECONDS = 100.0
"""A pause so long that a test which waited for it would hang."""


@pytest.fixture
def clock_file(tmp_path: Path) -> ClockFile:
    """A clock that stands at MOMENT."""
    return ClockFile(tmp_path / "clock", MOMENT)


def settings(host: str, file: Path) -> ServiceSettings:
    """Settings of a service on `host` that is told to go by `file`."""
    return ServiceSettings(
        database_url="postgresql://nowhere", nats_url="nats://nowhere", secret=SecretStr("x" * 43), host=host,
        test_clock_file=file,
    )  # fmt: skip


def test_it_stands_still_until_it_is_moved(clock_file: ClockFile) -> None:
    clock = FileClock(clock_file.file, "rewards")
    assert clock.now() == clock.now() == MOMENT
    clock_file.move(MOMENT + timedelta(days=14))
    assert clock.now() == MOMENT + timedelta(days=14)


def test_a_clock_without_a_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileClock(tmp_path / "nothing", "rewards")


async def test_a_round_wakes_every_job_and_is_over_when_the_last_has_worked(clock_file: ClockFile) -> None:
    clock = FileClock(clock_file.file, "rewards")
    slow_works, slow_may_end, quick_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        while True:
            slow_works.set()
            await slow_may_end.wait()
            await clock.sleep(LONG_SECONDS)

    async def quick() -> None:
        while True:
            await slow_works.wait()  # so that it ends while the other is at work
            asyncio.get_running_loop().call_soon(quick_ended.set)
            await clock.sleep(LONG_SECONDS)

    async def over() -> None:
        async with asyncio.timeout(10):
            while not clock_file.worked("rewards"):
                await asyncio.sleep(0.001)

    assert not clock_file.worked("rewards")
    async with asyncio.TaskGroup() as group:
        jobs = [group.create_task(slow()), group.create_task(quick())]
        slow_may_end.set()
        await over()
        for event in (slow_works, slow_may_end, quick_ended):
            event.clear()
        clock_file.call_round()
        await quick_ended.wait()
        assert not clock_file.worked("rewards")
        slow_may_end.set()
        await over()
        for each in jobs:
            each.cancel()


async def test_a_long_pause_ends_with_the_round_that_moves_the_clock_past_it(clock_file: ClockFile) -> None:
    """The job has nothing to do in earlier rounds: they do not wait for it."""
    clock = FileClock(clock_file.file, "rewards")
    hour, runs = timedelta(hours=1), 0

    async def job() -> None:
        nonlocal runs
        while True:
            runs += 1
            await clock.sleep(hour.total_seconds())

    async def over() -> None:
        async with asyncio.timeout(10):
            while not clock_file.worked("rewards"):
                await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        working = group.create_task(job())
        clock_file.call_round()
        await over()
        assert runs == 1
        for moment, wanted in (
            (MOMENT + hour - timedelta(microseconds=1), 1),
            (MOMENT + hour, 2),
            (MOMENT + 1.5 * hour, 2),
            (MOMENT + 2 * hour, 3),
            (MOMENT, 4),  # the next scenario begins earlier
        ):
            clock_file.move(moment)
            await over()
            assert runs == wanted
        working.cancel()


async def test_a_pause_ends_by_itself_too(clock_file: ClockFile) -> None:
    await FileClock(clock_file.file, "rewards").sleep(0.01)


def test_a_service_that_others_can_reach_goes_by_real_time(tmp_path: Path) -> None:
    assert settings("127.0.0.1", tmp_path).test_clock_file == tmp_path
    assert settings("::1", tmp_path).test_clock_file == tmp_path
    for host in ("0.0.0.0", "10.1.2.3", "upline.example"):
        with pytest.raises(ValidationError, match="loopback"):
            settings(host, tmp_path)
