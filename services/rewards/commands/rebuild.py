"""Rebuilding: all rewards, revisions and tallies are computed again from stored events and compared."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from chassis.parallel import Progress, in_processes
from services.rewards.domain.ledger import Reward
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.clawback import Revision
from services.rewards.domain.settle.holds import Rejection
from services.rewards.domain.settle.replay import Replay
from services.rewards.store import history, scratch, tallies
from services.rewards.store.history import SettledConversion, SettledFact, Slice
from services.rewards.store.plans import PlanCache
from services.rewards.store.scratch import RowDifference
from services.rewards.store.view import SCHEMA, View, one_view, shared_view

FACTS_A_WRITE = 2_000
CONVERSIONS_A_SLICE = 25_000
SLICES_A_PROGRAM = 4
"""Every slice looks at all rewards of its program once, so there are few of them."""


@dataclass(frozen=True, slots=True)
class _Task:
    view: View
    schema: str
    part: Slice
    """A program that counts something is one slice: its facts have one order."""
    counts: bool


@dataclass(slots=True)
class RebuildResult:
    """How much was computed, and where it differs from what is stored."""

    programs: int = 0
    conversions: int = 0
    reversals: int = 0
    rewards: int = 0
    revisions: int = 0
    tallies: int = 0
    differences: list[RowDifference] = field(default_factory=list)

    def add(self, other: "RebuildResult") -> None:
        """Adds the figures of another part."""
        self.conversions += other.conversions
        self.reversals += other.reversals
        self.rewards += other.rewards
        self.revisions += other.revisions
        self.tallies += other.tallies
        self.differences += other.differences


async def rebuild(url: str, program_id: str, begin: Callable[[int], Progress], jobs: int = 0) -> RebuildResult:
    """Rebuilds one program, or all for an empty id, on one view of the database, and compares row by row.

    `url`: of the owner of the database, for a schema is made and removed again. `begin` gets the number of conversions
    and returns what is told how many of them are done. Nothing that is stored changes, and services may go on
    meanwhile.
    """
    schema = f"rebuild_{uuid4().hex[:12]}"
    owner = Database(url, SCHEMA)
    try:
        async with owner.transaction() as conn:
            await scratch.create(conn, schema)
        try:
            async with one_view(url) as (conn, view):
                counted = await history.counts(conn, program_id)
                counting = (await PlanCache().load(conn, list(counted))).with_order
                tasks = [
                    _Task(view, schema, part, name in counting)
                    for name, count in counted.items()
                    for part in ([Slice(name)] if name in counting else await _parts(conn, name, count))
                ]
                parts = await in_processes(_rebuild_part, tasks, begin(sum(counted.values())), jobs)
        finally:
            async with owner.transaction() as conn:
                await scratch.drop(conn, schema)
    finally:
        await owner.close()
    total = RebuildResult(programs=len(counted))
    for each in parts:
        total.add(each)
    return total


async def _parts(conn: AsyncConnection, program_id: str, count: int) -> list[Slice]:
    return await history.slices(conn, program_id, max(CONVERSIONS_A_SLICE, -(-count // SLICES_A_PROGRAM)))


async def _rebuild_part(task: _Task, progress: Progress) -> RebuildResult:
    async with shared_view(task.view) as conn:
        await scratch.use(conn, task.schema)
        plans = PlanCache()
        _ = (await plans.load(conn, [task.part.program_id]))[task.part.program_id]  # raises if it cannot be read
        closed = await history.closed_contests(conn, task.part.program_id) if task.counts else []
        rebuilding = _Rebuilding(plans, closed)
        async for fact in history.facts(conn, task.part):
            await rebuilding.compute(conn, fact)
            if rebuilding.is_full:
                progress(await rebuilding.write(conn))
        progress(await rebuilding.write(conn))
        if task.counts:
            rebuilding.result.tallies = await rebuilding.write_tallies(conn, task.part.program_id)
        rebuilding.result.differences = await scratch.compare(conn, task.schema, task.part)
        return rebuilding.result


class _Rebuilding:
    """Computes facts and writes the results now and then."""

    def __init__(self, plans: PlanCache, closed: list[tuple[int, str]]) -> None:
        """`closed`: contests whose ranking became final, (position, contest id)."""
        self.result = RebuildResult()
        self._closed = deque(closed)
        self._plans = plans
        self._replay = Replay()
        self._rewards: list[Reward] = []
        self._revisions: list[Revision] = []
        self._snapshots: list[tuple[str, str, str | None]] = []

    @property
    def is_full(self) -> bool:
        """Whether it is time to write."""
        return len(self._snapshots) + len(self._revisions) >= FACTS_A_WRITE

    async def compute(self, conn: AsyncConnection, fact: SettledFact) -> None:
        """Computes one fact."""
        while self._closed and fact.position is not None and self._closed[0][0] < fact.position:
            self._replay.tallies.close(self._closed.popleft()[1])
        settled, change, position = fact.settled, fact.change, fact.position or 0
        conversion = settled.conversion
        plan = None
        if settled.plan_version:
            plan = await self._plans.plan(conn, conversion.program_id, settled.plan_version)
        if change is None:
            self._decide(plan, settled, position)
        elif isinstance(change, Rejection):
            if plan is not None:
                self._revisions += self._replay.reject(conversion, change)
        else:
            self.result.reversals += 1
            if plan is not None:
                self._revisions += self._replay.take_back(conversion, change, position)

    def _decide(self, plan: Plan | None, settled: SettledConversion, position: int) -> None:
        self.result.conversions += 1
        conversion, snapshot = settled.conversion, None
        if plan is not None:
            accrual, snapshot = self._replay.decide(plan, conversion, position, to_be_revised=settled.is_revised)
            self._rewards += accrual.rewards
        text = None if snapshot is None else snapshot.to_json()
        self._snapshots.append((conversion.program_id, conversion.conversion_id, text))

    async def write(self, conn: AsyncConnection) -> int:
        """Writes the results since the last time; returns how many conversions that was."""
        await scratch.write(conn, self._rewards, self._revisions, self._snapshots)
        conversions = len(self._snapshots)
        self.result.rewards += len(self._rewards)
        self.result.revisions += len(self._revisions)
        self._rewards, self._revisions, self._snapshots = [], [], []
        return conversions

    async def write_tallies(self, conn: AsyncConnection, program_id: str) -> int:
        """Writes the tallies as they stand in the end; returns how many there are."""
        running = self._replay.tallies
        await tallies.add(conn, program_id, running.changes, running.reached)
        return len(running.changes)
