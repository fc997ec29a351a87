"""Plan versions."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import UplineError, failed_precondition
from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.versions import PlanOutline, PlanVersions, outline
from services.rewards.store.bounded import BoundedCache
from services.rewards.wire.plans import compile_plan, read_uncompiled

MAX_COMPILED_BYTES = 128 * 1024**2
"""The memory that compiled plans take between transactions, as it is estimated; those that were not used for the
longest leave first. A plan that takes more stays until another one is compiled."""
MAX_OUTLINE_BYTES = 64 * 1024**2
"""The memory that outlines take, as it is estimated: those of 80,000 versions, ten of each program. Those of the
programs that were not asked for the longest leave first, and are read again when they are; beyond, a job that looks
through all programs reads many of them each time."""
COMPILED_AT_ONCE = 2
"""So that a plan which takes a second to compile keeps no other one from it; more would only share the same core."""
BYTES_A_READ = 4 * 1024**2
"""Stored plans are read in parts of so many bytes, or one plan, so that a start does not hold all of them at once."""

_STORED = "program_id, version, currency_code, plan, effective_time"
_COUNT = text(
    "SELECT program_id, count(*) AS version_count FROM plan_version WHERE program_id = ANY(:program_ids) GROUP BY 1"
)
_LOAD_NEW = text(f"""
    SELECT {_STORED} FROM (
        SELECT {_STORED}, sum(octet_length(plan)) OVER (ORDER BY program_id, version) - octet_length(plan) AS before
        FROM plan_version
        JOIN unnest(CAST(:program_ids AS text[]), CAST(:counts AS int[])) AS known (program_id, count)
            USING (program_id)
        WHERE version > count
    ) AS new WHERE before < {BYTES_A_READ} ORDER BY program_id, version
""")
_LOAD_VERSIONS = text(f"""
    SELECT {_STORED} FROM plan_version
    JOIN unnest(CAST(:program_ids AS text[]), CAST(:versions AS int[])) AS wanted (program_id, version)
        USING (program_id, version)
""")
_ROWS = within_budget(
    """
    SELECT version, currency_code, plan, effective_time, create_time FROM plan_version
    WHERE program_id = :program_id AND version < :below ORDER BY version DESC LIMIT :limit
    """,
    "octet_length(plan)",
    "version DESC",
)
_INSERT = text("""
    INSERT INTO plan_version (program_id, version, currency_code, plan, effective_time, create_time)
    VALUES (:program_id, :version, :currency_code, :plan, :effective_time, :create_time)
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('plan:' || :program_id, 0))")
_PIN_VERSIONS = text("""
    SELECT pg_advisory_xact_lock_shared(hashtextextended('plan:' || program_id, 0))
    FROM unnest(CAST(:program_ids AS text[])) AS t (program_id)
""")

COMPILED = Counter("upline_plans_compiled_total", "Versions of plans that were compiled because something needed them.")
OUTLINED = Counter("upline_plans_outlined_total", "Versions of plans that were read for their outlines.")

_NO_PLAN = PlanVersions()

PlanKey = tuple[str, int]
"""A version of a program's plan: program and number."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A version as stored."""

    program_id: str
    version: int
    currency_code: str
    plan: bytes
    effective_time: datetime | None
    create_time: datetime


class ProgramPlans(dict[str, PlanVersions]):
    """The plans of programs, by outlines, and those versions compiled that were asked for. A program with a version
    that cannot be read is missing: to ask for it is FAILED_PRECONDITION, and the others go on."""

    def __init__(self, cache: "PlanCache", readable: Mapping[str, PlanVersions], unreadable: Mapping[str, str]) -> None:
        super().__init__(readable)
        self.unreadable = dict(unreadable)
        """The reason why a plan, or a version of it, cannot be read, by program."""
        self._cache = cache
        self._compiled: dict[PlanKey, Plan | str] = {}
        """Valid for as long as the transaction lasts, whatever leaves the cache meanwhile."""

    @property
    def with_order(self) -> set[str]:
        """The programs whose facts wait for one another, because it matters in which order they are settled."""
        return {program_id for program_id, versions in self.items() if versions.has_order}

    async def compile(self, conn: AsyncConnection, keys: Iterable[PlanKey]) -> None:
        """Makes `plan` answer for these versions."""
        if missing := {key for key in keys if key not in self._compiled and key[0] in self}:
            self._compiled |= await self._cache.compiled(conn, missing)
            self.unreadable |= {key[0]: why for key in missing if isinstance(why := self._compiled.get(key), str)}

    def plan(self, program_id: str, version: int) -> Plan:
        """A version that was compiled before. FAILED_PRECONDITION if it cannot be."""
        return _readable(self._compiled[program_id, version] if program_id in self else self.unreadable[program_id])

    def __missing__(self, program_id: str) -> PlanVersions:
        raise _as_error(self.unreadable[program_id])


@dataclass
class PlanCache:
    """Plans as a process uses them. Versions are immutable, so only their number needs to be asked for.

    Of every version an outline is kept, which is read once; of those that decide something, the compiled plan too, as
    long as it is used. Both are made in threads: the event loop goes on meanwhile, if not as fast.
    """

    outlined_count: int = 0
    """How many versions were read for their outlines."""
    compiled_count: int = 0
    """How many versions were compiled."""
    _versions: BoundedCache[str, PlanVersions] = field(default_factory=lambda: BoundedCache(MAX_OUTLINE_BYTES))
    _plans: BoundedCache[PlanKey, Plan] = field(default_factory=lambda: BoundedCache(MAX_COMPILED_BYTES))
    _compiling: dict[PlanKey, asyncio.Future[tuple[Plan | str, int]]] = field(default_factory=dict)
    _unreadable: dict[str, str] = field(default_factory=dict)
    """Why a plan cannot be read, by program: for ever, because no later version mends an earlier one."""
    _uncompilable: dict[PlanKey, str] = field(default_factory=dict)
    """Why a version cannot be compiled. It stops what needs it, and no other version."""
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(COMPILED_AT_ONCE, thread_name_prefix="plans")
    )

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """How many programs have outlines, how many versions are compiled, and the memory of each in bytes, as it is
        estimated."""
        versions, compiled = self._versions, self._plans
        return {"outlines": (len(versions), versions.weight), "compiled": (len(compiled), compiled.weight)}

    async def load(self, conn: AsyncConnection, program_ids: Collection[str]) -> ProgramPlans:
        """The outlines of every version of each program, in ascending order; none for programs without a plan."""
        counts = {
            row.program_id: row.version_count for row in await conn.execute(_COUNT, {"program_ids": list(program_ids)})
        }
        known = {each: self._versions.get(each) or _NO_PLAN for each in program_ids if each not in self._unreadable}
        while stale := [each for each in known if len(known[each]) < counts.get(each, 0)]:
            parameters = {"program_ids": stale, "counts": [len(known[each]) for each in stale]}
            rows = (await conn.execute(_LOAD_NEW, parameters)).all()
            if not rows:
                break  # they were removed since they were counted
            await self._outline(rows, known)
        unreadable = {each: self._unreadable[each] for each in program_ids if each in self._unreadable}
        unreadable |= {program_id: why for (program_id, _), why in self._uncompilable.items() if program_id in known}
        return ProgramPlans(self, known, unreadable)

    async def compiled(self, conn: AsyncConnection, keys: Collection[PlanKey]) -> dict[PlanKey, Plan | str]:
        """Versions as they decide; of one that cannot be compiled, the reason."""
        found: dict[PlanKey, Plan | str] = {key: why for key in keys if (why := self._uncompilable.get(key))}
        found |= {key: plan for key in keys if (plan := self._plans.get(key)) is not None}
        if len(found) == len(keys):
            return found
        missing = [key for key in keys if key not in found]
        futures = {key: self._compiling[key] for key in missing if key in self._compiling}
        if unknown := [key for key in missing if key not in futures]:
            program_ids, versions = zip(*unknown, strict=True)
            parameters = {"program_ids": list(program_ids), "versions": list(versions)}
            for row in (await conn.execute(_LOAD_VERSIONS, parameters)).all():
                key = row.program_id, row.version
                if (plan := self._plans.get(key)) is not None:  # another task compiled it meanwhile
                    found[key] = plan
                else:
                    futures[key] = self._compiling.get(key) or self._begin_compiling(key, row)
        # Each comes to its end even where the caller goes away: another one may wait for the same version.
        if futures:
            await asyncio.wait(futures.values())
        return found | {key: future.result()[0] for key, future in futures.items()}

    async def plan(self, conn: AsyncConnection, program_id: str, version: int) -> Plan:
        """One version as it decides. FAILED_PRECONDITION if it cannot be compiled."""
        return _readable((await self.compiled(conn, [(program_id, version)]))[program_id, version])

    async def _outline(self, rows: Sequence[Row[Any]], known: dict[str, PlanVersions]) -> None:
        """Adds new versions to what is known of their programs, and takes out a program with one that cannot be
        read."""
        newest = {each: known[each].outlines[-1] for each in {row.program_id for row in rows} if known[each]}
        loop = asyncio.get_running_loop()
        for program_id, outlines in (await loop.run_in_executor(self._threads, _read_outlines, rows, newest)).items():
            if isinstance(outlines, str):
                self._unreadable[program_id] = outlines
                del known[program_id]
                continue
            self.outlined_count += len(outlines)
            OUTLINED.inc(len(outlines))
            known[program_id] = versions = PlanVersions((*known[program_id].outlines, *outlines))
            if len(versions) > len(self._versions.get(program_id) or _NO_PLAN):  # another task may have seen more
                self._versions.put(program_id, versions, versions.memory_bytes)

    def _begin_compiling(self, key: PlanKey, row: Row[Any]) -> asyncio.Future[tuple[Plan | str, int]]:
        self.compiled_count += 1
        COMPILED.inc()
        future = self._compiling[key] = asyncio.get_running_loop().run_in_executor(self._threads, _compile, row)
        future.add_done_callback(partial(self._end_compiling, key))
        return future

    def _end_compiling(self, key: PlanKey, future: asyncio.Future[tuple[Plan | str, int]]) -> None:
        del self._compiling[key]
        if future.cancelled() or future.exception() is not None:
            return  # whoever waits for it is told
        plan, weight = future.result()
        if isinstance(plan, str):
            self._uncompilable[key] = plan
        else:
            self._plans.put(key, plan, weight)


def _read_outlines(
    rows: Iterable[Row[Any]], newest: Mapping[str, PlanOutline]
) -> dict[str, tuple[PlanOutline, ...] | str]:
    """The outlines of versions by program, or why one of them cannot be read. A rule that came after a version was
    published does not stop it; content that this server does not understand does.

    `newest`: the versions before these.
    """
    read: dict[str, tuple[PlanOutline, ...] | str] = {}
    for row in rows:
        outlines = read.get(row.program_id, ())
        if isinstance(outlines, str):
            continue
        before = outlines[-1] if outlines else newest.get(row.program_id)
        try:
            plan = read_uncompiled(row.program_id, row.version, row.currency_code, bytes(row.plan), row.effective_time)
        except UplineError as error:
            read[row.program_id] = _told(row, error)
        else:
            read[row.program_id] = (*outlines, outline(plan, before))
    return read


def _compile(row: Row[Any]) -> tuple[Plan | str, int]:
    """A version with the memory that it takes, or why it cannot be compiled."""
    try:
        return compile_plan(row.program_id, row.version, row.currency_code, bytes(row.plan), row.effective_time)
    except UplineError as error:
        return _told(row, error), 0


def _told(row: Row[Any], error: UplineError) -> str:
    why = (
        f"version {row.version} of the plan of {row.program_id!r} says what this server does not understand:"
        f" {error.message}"
    )
    log.warning("plan cannot be read", program=row.program_id, error=why)
    return why


def _readable(plan: Plan | str) -> Plan:
    if isinstance(plan, str):
        raise _as_error(plan)
    return plan


def _as_error(why: str) -> UplineError:
    return failed_precondition("PLAN_UNREADABLE", why)


async def load_rows(conn: AsyncConnection, program_id: str, below: int, limit: int) -> Portion[PlanRow]:
    """Versions lower than `below`, newest first."""
    return await read_portion(
        conn,
        _ROWS,
        {"program_id": program_id, "below": below, "limit": limit},
        lambda row: PlanRow(
            program_id, row.version, row.currency_code, bytes(row.plan), row.effective_time, row.create_time
        ),
    )


async def lock(conn: AsyncConnection, program_id: str) -> None:
    """Makes publishers of one program wait for one another until the transaction ends."""
    await conn.execute(_LOCK, {"program_id": program_id})


async def pin_versions(conn: AsyncConnection, program_ids: Collection[str]) -> None:
    """Keeps new versions of the programs out until the transaction ends, and waits for those on their way in.

    Without it, a conversion could be paid by the version before while the next one, in force already, is being
    committed.
    """
    await conn.execute(_PIN_VERSIONS, {"program_ids": sorted(program_ids)})


async def insert(conn: AsyncConnection, row: PlanRow) -> None:
    """Stores the next version."""
    await conn.execute(
        _INSERT,
        {
            "program_id": row.program_id,
            "version": row.version,
            "currency_code": row.currency_code,
            "plan": row.plan,
            "effective_time": row.effective_time,
            "create_time": row.create_time,
        },
    )
