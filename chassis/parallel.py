"""Work that is divided among processes, which end with the one that asked for it."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from chassis.heap import freeze_heap

REPORT_SECONDS = 0.1

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int], None]
"""Takes how much is done, of whatever the work counts."""
Work = Callable[[Task, Progress], Awaitable[Result]]
"""Does one task; tells how much more of it is done."""


async def in_processes(
    work: Work[Task, Result], tasks: Sequence[Task], progress: Progress, jobs: int = 0
) -> list[Result]:
    """Does the tasks in as many processes as there are processors, or in `jobs`; with 1 job this process does them
    alone, while its event loop waits.

    Returns their results in the tasks' order; raises the first error that a task ends with. `work` and the tasks travel
    to the processes, so they must be importable and picklable.
    """
    if jobs == 1:
        add = _adding_up(progress)
        return [await work(task, add) for task in tasks]
    context = multiprocessing.get_context("spawn")
    total = context.Value("q", 0)
    with ProcessPoolExecutor(min(jobs or os.cpu_count() or 1, max(len(tasks), 1)), context, _begin, (total,)) as pool:
        futures = [pool.submit(_run, work, task) for task in tasks]
        pending: set[Future[Result]] = set(futures)
        try:
            while pending:
                finished, pending = await asyncio.to_thread(
                    partial(wait, pending, REPORT_SECONDS, return_when=FIRST_COMPLETED)
                )
                progress(total.value)
                for each in finished:
                    each.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [each.result() for each in futures]


def _adding_up(progress: Progress) -> Progress:
    done = 0

    def add(number: int) -> None:
        nonlocal done
        done += number
        progress(done)

    return add


class _Shared:
    """The sum of what all processes have done, in a process of the pool."""

    total: Any = None


def _begin(total: Any) -> None:
    freeze_heap()
    _Shared.total = total
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Ends this process when the one that began it has ended, however that came about: only a parent that lives tells a
    pool to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _add(number: int) -> None:
    with _Shared.total.get_lock():
        _Shared.total.value += number


def _run(work: Work[Task, Result], task: Task) -> Result:
    return asyncio.run(_awaited(work(task, _add)))


async def _awaited(work: Awaitable[Result]) -> Result:
    return await work
