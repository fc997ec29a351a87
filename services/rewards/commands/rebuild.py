"""Rebuilding: every reward, revision and tally is computed again from the stored events and compared with what is stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from services.rewards.domain.course import Course
from services.rewards.domain.ledger import Reward
from services.rewards.domain.plan import Plan
from services.rewards.domain.settlement import Revision
from services.rewards.store import history, scratch
from services.rewards.store.history import PastFact, Slice
from services.rewards.store.plans import PlanShelf
from services.rewards.store.scratch import Difference
from services.rewards.store.working import SERVICE, View, count_facts, in_processes, one_view, shared_view

FACTS_A_WRITE = 2_000
CONVERSIONS_A_SLICE = 25_000
SLICES_A_PROGRAM = 4
"""Every slice looks at all rewards of its program once, so there are few of them."""


@dataclass(frozen=True, slots=True)
class _Task:
    view: View
    schema: str
    part: Slice


@dataclass(slots=True)
class Rebuilt:
    """What was computed, and where it is not what is stored."""

    programs: int = 0
    conversions: int = 0
    reversals: int = 0
    rewards: int = 0
    revisions: int = 0
    tallies: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Rebuilt") -> None:
        """Adds the figures of another part."""
        self.conversions += other.conversions
        self.reversals += other.reversals
        self.rewards += other.rewards
        self.revisions += other.revisions
        self.tallies += other.tallies
        self.differences += other.differences


async def rebuild(url: str, program_id: str, begin: Callable[[int], Callable[[int], None]], jobs: int = 0) -> Rebuilt:
    """Rebuilds one program, or all for an empty id, on one view of the database, and compares row by row.

    `url`: of the owner of the database, for a schema is made and removed again. `begin` gets the number of conversions and
    returns what is told how many of them are done. Nothing that is stored changes, and services may go on meanwhile.
    """
    schema = f"rebuild_{uuid4().hex[:12]}"
    owner = Database(url, SERVICE)
    try:
        async with owner.transaction() as conn:
            await scratch.create(conn, schema)
        try:
            async with one_view(url) as (conn, view):
                counted = await history.counts(conn, program_id)
                tasks = [
                    _Task(view, schema, part)
                    for name, count in counted.items()
                    for part in await _parts(conn, name, count)
                ]
                parts = await in_processes(_rebuild_part, tasks, begin(sum(counted.values())), jobs)
        finally:
            async with owner.transaction() as conn:
                await scratch.drop(conn, schema)
    finally:
        await owner.close()
    total = Rebuilt(programs=len(counted))
    for each in parts:
        total.add(each)
    return total


async def _parts(conn: AsyncConnection, program_id: str, count: int) -> list[Slice]:
    return await history.slices(conn, program_id, max(CONVERSIONS_A_SLICE, -(-count // SLICES_A_PROGRAM)))


async def _rebuild_part(task: _Task) -> Rebuilt:
    async with shared_view(task.view) as conn:
        versions = (await PlanShelf().load(conn, [task.part.program_id]))[task.part.program_id]
        rebuilding = _Rebuilding(versions)
        async for fact in history.facts(conn, task.part):
            rebuilding.take(fact)
            if rebuilding.is_full:
                await rebuilding.write(conn, task.schema)
        await rebuilding.write(conn, task.schema)
        rebuilding.result.differences = await scratch.compare(conn, task.schema, task.part)
        return rebuilding.result


class _Rebuilding:
    """Computes facts and writes what came of them now and then."""

    def __init__(self, versions: tuple[Plan, ...]) -> None:
        self.result = Rebuilt()
        self._versions = versions
        self._course = Course()
        self._rewards: list[Reward] = []
        self._revisions: list[Revision] = []
        self._snapshots: list[tuple[str, str, str | None]] = []

    @property
    def is_full(self) -> bool:
        """Whether it is time to write."""
        return len(self._snapshots) + len(self._revisions) >= FACTS_A_WRITE

    def take(self, fact: PastFact) -> None:
        """Computes one fact."""
        past = fact.past
        conversion = past.conversion
        plan = self._versions[past.plan_version - 1] if past.plan_version else None
        if fact.reversal is None:
            self.result.conversions += 1
            self._snapshots.append((conversion.program_id, conversion.conversion_id, None))
            if plan is not None:
                accrual = self._course.settle(plan, conversion, to_be_reversed=bool(past.reversals))
                self._rewards += accrual.rewards
        else:
            self.result.reversals += 1
            if plan is not None:
                self._revisions += self._course.take_back(conversion, fact.reversal)

    async def write(self, conn: AsyncConnection, schema: str) -> None:
        """Writes what was computed since the last time."""
        await scratch.write(conn, schema, self._rewards, self._revisions, self._snapshots)
        count_facts(len(self._snapshots))
        self.result.rewards += len(self._rewards)
        self.result.revisions += len(self._revisions)
        self._rewards, self._revisions, self._snapshots = [], [], []
