"""The full audit: every check, over everything that is stored."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import allow_statements
from chassis.ids import least_id
from chassis.tasks import run_all
from services.rewards.store.audits import balances, flow, operations, rewards
from services.rewards.store.audits.findings import (
    AUDIT_TIMEOUT_MS,
    FLOW_CHECKS,
    MAX_FINDINGS,
    MISSING,
    OVERDUE,
    Audit,
    AuditFinding,
)
from services.rewards.store.audits.helpers import MAX_HELPERS, AuditProgress, Helpers

CHECKS = MappingProxyType(
    {
        "BALANCE_DIFFERS": balances.BALANCE_DIFFERS,
        "NEGATIVE_BALANCE": balances.NEGATIVE,
        "REWARD_DIFFERS": rewards.REWARD_DIFFERS,
        "TRANSFER_DIFFERS": rewards.TRANSFER_DIFFERS,
        "ACCOUNTS_DIFFER": operations.ACCOUNTS_DIFFER,
        "RESERVE_DIFFERS": balances.RESERVE_DIFFERS,
        "REDEMPTION_DIFFERS": operations.REDEMPTION_DIFFERS,
        "PAYOUT_DIFFERS": operations.PAYOUT_DIFFERS,
        "REVERSAL_DIFFERS": rewards.REVERSAL_DIFFERS,
        "HOLD_DIFFERS": balances.HOLD_DIFFERS,
        "HOLD_OVERDUE": flow.HOLD_OVERDUE,
        "CONTEST_OVERDUE": flow.CONTEST_OVERDUE,
        "DEBT_OVERDUE": flow.DEBT_OVERDUE,
        "OPERATION_DIFFERS": operations.OPERATION_DIFFERS,
        "LIMIT_EXCEEDED": flow.LIMIT_EXCEEDED,
        "CONVERSION_MISSING": flow.CONVERSION_MISSING,
        "NOT_PUBLISHED": flow.NOT_PUBLISHED,
        "DEAD_LETTER": flow.DEAD_LETTERS,
    }
)
"""The checks by the names of their findings, in the order in which these are told."""
_COUNTS = f"""
    SELECT (SELECT count(*) FROM movement WHERE {balances.SCOPE}) AS transfer_count,
        (SELECT count(*) FROM reward WHERE {balances.SCOPE}) AS reward_count,
        (SELECT count(*) FROM ({balances.BALANCES}) AS b) AS account_count
"""


@dataclass(frozen=True, slots=True)
class TallyLimit:
    """The largest amount that any version of a plan gives to a cap or budget, whose tally must not exceed it."""

    program_id: str
    name: str
    amount_minor: int


def parameters(program_id: str, now: datetime, limits: Sequence[TallyLimit]) -> dict[str, object]:
    """The values that the statements of checks ask for."""
    return {
        "program_id": program_id,
        "overdue_since": now - OVERDUE,
        "overdue_id": least_id(now - OVERDUE),
        "missing_since": now - MISSING,
        "limit_programs": [each.program_id for each in limits],
        "limit_names": [each.name for each in limits],
        "limit_amounts": [each.amount_minor for each in limits],
    }


async def find(conn: AsyncConnection, checks: Mapping[str, str], given: Mapping[str, object]) -> list[AuditFinding]:
    """The findings of these checks."""
    found = []
    for name, sql in checks.items():
        statement = text(sql)
        rows = await conn.execute(statement, {each: given[each] for each in statement.compile().params})
        found += [AuditFinding(name, row.program_id, row.subject, row.detail) for row in rows]
    return found


async def run(
    conn: AsyncConnection,
    program_id: str,
    now: datetime,
    limits: Sequence[TallyLimit],
    helpers: Helpers | None = None,
    progress: AuditProgress | None = None,
) -> Audit:
    """Runs every check, in a transaction that shows one snapshot throughout, and in those of the helpers that are free.

    What no program can be named for, dead letters and the outbox, is told whatever program is asked for.
    """
    given = parameters(program_id, now, limits)
    progress = progress or AuditProgress()
    progress.total = len(CHECKS) + 1
    left = deque((_COUNTS, *CHECKS))
    found: dict[str, list[AuditFinding]] = {}
    counts: list[Row[Any]] = []

    async def work(one: AsyncConnection) -> None:
        await allow_statements(one, AUDIT_TIMEOUT_MS)
        while left:
            name = left.popleft()
            if name == _COUNTS:
                counts.append((await one.execute(text(_COUNTS), {"program_id": program_id})).one())
            else:
                found[name] = await find(one, {name: CHECKS[name]}, given)
            progress.done += 1

    if helpers is None:
        await work(conn)
    else:
        snapshot_id = await helpers.snapshot(conn)
        await run_all(work(conn), *(helpers.help(snapshot_id, work) for _ in range(MAX_HELPERS)))
    findings = [each for name in CHECKS for each in found[name]]
    (count,) = counts
    return Audit(count.transfer_count, count.account_count, count.reward_count, tuple(findings[:MAX_FINDINGS]))


FLOW = MappingProxyType({name: sql for name, sql in CHECKS.items() if name in FLOW_CHECKS})
"""The checks that cost what is late, not what there is: every audit runs all of them."""
