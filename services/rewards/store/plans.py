"""Plan versions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import UplineError, failed_precondition
from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.plan.versions import PlanVersions
from services.rewards.wire.plans import decode_plan

_LOAD = text("""
    SELECT program_id, version, currency_code, plan, effective_time FROM plan_version
    WHERE program_id = ANY(:program_ids) ORDER BY program_id, version
""")
_COUNT = text(
    "SELECT program_id, count(*) AS version_count FROM plan_version WHERE program_id = ANY(:program_ids) GROUP BY 1"
)
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

_NO_PLAN = PlanVersions()

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
    """The plans of programs. A program with a version that cannot be read is missing: to ask for it is
    FAILED_PRECONDITION, and the others go on."""

    def __init__(self, readable: Mapping[str, PlanVersions], unreadable: Mapping[str, str]) -> None:
        super().__init__(readable)
        self.unreadable = unreadable
        """The reason why a plan cannot be read, by program."""

    @property
    def with_order(self) -> set[str]:
        """The programs whose facts wait for one another, because it matters in which order they are settled."""
        return {program_id for program_id, versions in self.items() if versions.has_order}

    def __missing__(self, program_id: str) -> PlanVersions:
        raise failed_precondition("PLAN_UNREADABLE", self.unreadable[program_id])


@dataclass
class PlanCache:
    """Compiled plans, kept by process. Versions are immutable, so only their number needs to be asked for."""

    _versions: dict[str, PlanVersions] = field(default_factory=dict)
    _unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The number of versions of programs with one that cannot be read, and why it cannot, by program."""

    async def load(self, conn: AsyncConnection, program_ids: Collection[str]) -> ProgramPlans:
        """Every version of each program, in ascending order; none for programs without a plan."""
        counts = {
            row.program_id: row.version_count for row in await conn.execute(_COUNT, {"program_ids": list(program_ids)})
        }
        stale = [each for each in program_ids if self._known(each) < counts.get(each, 0)]
        if stale:
            rows: dict[str, list[Row[Any]]] = {each: [] for each in stale}
            for row in await conn.execute(_LOAD, {"program_ids": stale}):
                rows[row.program_id].append(row)
            for program_id, found in rows.items():
                if len(found) > self._known(program_id):  # another task may have seen more meanwhile
                    self._compile(program_id, found)
        unreadable = {each: self._unreadable[each][1] for each in program_ids if each in self._unreadable}
        return ProgramPlans(
            {each: self._versions.get(each, _NO_PLAN) for each in program_ids if each not in unreadable}, unreadable
        )

    def _known(self, program_id: str) -> int:
        """How many versions of a program were read."""
        unreadable = self._unreadable.get(program_id)
        return len(self._versions.get(program_id, _NO_PLAN)) if unreadable is None else unreadable[0]

    def _compile(self, program_id: str, rows: Sequence[Row[Any]]) -> None:
        """Compiles the versions. A rule that came after a version was published does not stop it; content that this
        server does not understand does."""
        plans = []
        for row in rows:
            try:
                plan = decode_plan(
                    program_id, row.version, row.currency_code, bytes(row.plan), row.effective_time, stored=True
                )
            except UplineError as error:
                why = (
                    f"version {row.version} of the plan of {program_id!r} says what this server does not understand:"
                    f" {error.message}"
                )
                log.warning("plan cannot be read", program=program_id, error=why)
                self._unreadable[program_id] = len(rows), why
                return
            plans.append(plan)
        self._versions[program_id] = PlanVersions(tuple(plans))


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
