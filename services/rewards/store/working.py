"""Work on stored facts in several processes, all of which see the database as it was at one moment."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database

REPORT_SECONDS = 0.1
SERVICE = "rewards"

_UNHURRIED = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int], None]
"""Gets how many facts are done."""


@dataclass(frozen=True, slots=True)
class View:
    """The database as it was at one moment, for as long as the transaction lasts that exported it."""

    url: str
    snapshot_id: str


@asynccontextmanager
async def one_view(url: str) -> AsyncIterator[tuple[AsyncConnection, View]]:
    """A transaction whose view of the database others can share."""
    database = Database(url, SERVICE)
    try:
        async with database.transaction() as conn:
            for statement in _UNHURRIED:
                await conn.execute(text(statement))
            snapshot_id = (await conn.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
            yield conn, View(url, snapshot_id)
    finally:
        await database.close()


@asynccontextmanager
async def shared_view(view: View) -> AsyncIterator[AsyncConnection]:
    """A transaction of its own with the same view."""
    database = Database(view.url, SERVICE)
    try:
        async with database.transaction() as conn:
            for statement in _UNHURRIED:
                await conn.execute(text(statement))
            await conn.execute(text(f"SET TRANSACTION SNAPSHOT '{view.snapshot_id}'"))
            yield conn
    finally:
        await database.close()


async def in_processes(
    work: Callable[[Task], Awaitable[Result]], tasks: Sequence[Task], progress: Progress, jobs: int = 0
) -> list[Result]:
    """Does the tasks in as many processes as there are processors, or `jobs`; returns their results in the tasks' order.

    `work` and the tasks travel to the processes, so they must be importable and picklable.
    """
    context = get_context("spawn")
    done_facts = context.Value("q", 0)
    with ProcessPoolExecutor(
        min(jobs or os.cpu_count() or 1, max(len(tasks), 1)), context, _share, (done_facts,)
    ) as pool:
        futures = [pool.submit(_run, work, task) for task in tasks]
        pending: set[Any] = set(futures)
        try:
            while pending:
                finished, pending = await asyncio.to_thread(
                    partial(wait, pending, REPORT_SECONDS, return_when=FIRST_COMPLETED)
                )
                progress(done_facts.value)
                for each in finished:
                    each.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [each.result() for each in futures]


class _Counter:
    """How many facts all processes have done; None in a process of its own."""

    shared: Any = None


def count_facts(number: int) -> None:
    """Adds to what `progress` is told."""
    if _Counter.shared is not None:
        with _Counter.shared.get_lock():
            _Counter.shared.value += number


def _share(counter: Any) -> None:
    _Counter.shared = counter


def _run(work: Callable[[Task], Awaitable[Result]], task: Task) -> Result:
    return asyncio.run(_awaited(work(task)))


async def _awaited(work: Awaitable[Result]) -> Result:
    return await work
