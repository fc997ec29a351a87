"""Work in processes: results in order, errors told, and no process that outlives the one that asked for it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from chassis.parallel import Progress, in_processes
from tests.running import DEADLINE_SECONDS


async def squared(task: int, progress: Progress) -> tuple[int, int]:
    """The square, and the process that computed it."""
    progress(1)
    progress(2)
    return task * task, os.getpid()


async def failing(task: int, progress: Progress) -> None:
    """Fails at task 2."""
    progress(1)
    if task == 2:
        raise ValueError("two")


async def endless(task: str, progress: Progress) -> None:
    """Says which process it is in, and computes until somebody ends it."""
    Path(task).write_text(str(os.getpid()))
    progress(1)
    while True:
        sum(range(10_000))


@pytest.mark.parametrize("jobs", [1, 2])
async def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    done: list[int] = []
    results = await in_processes(squared, [3, 1, 2], done.append, jobs)
    assert [square for square, _ in results] == [9, 1, 4]
    assert {pid == os.getpid() for _, pid in results} == {jobs == 1}
    assert done == sorted(done)
    assert done[-1] == 9


@pytest.mark.parametrize("jobs", [1, 2])
async def test_an_error_of_a_task_is_told(jobs: int) -> None:
    with pytest.raises(ValueError, match="two"):
        await in_processes(failing, [1, 2, 3], lambda _done: None, jobs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import compute; compute({[str(each) for each in files]})"]
    )
    pids: list[int] = []
    try:
        pids += [int(awaited(file)) for file in files]
        assert all(map(alive, pids))
        parent.send_signal(number)
        parent.wait()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(map(alive, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()
        for pid in filter(alive, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def compute(files: list[str]) -> None:
    """Computes in two processes, as the whole of a process."""
    asyncio.run(in_processes(endless, files, lambda _done: None, 2))


def awaited(file: Path) -> str:
    """The text of a file, as soon as it is written."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return file.read_text()


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
