"""The auditor: it compares what was written since the last clean audit, and a sample of what was before, with the
balances, or recomputes every balance and every reward, and finds the differences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found, resource_exhausted
from services.rewards.commands.deps import Deps
from services.rewards.store import expiry
from services.rewards.store.audits import checkpoint, full, news, sample
from services.rewards.store.audits.checkpoint import AuditUnderWayError, Checkpoint
from services.rewards.store.audits.findings import MAX_FINDINGS, Audit, AuditFinding, Coverage
from services.rewards.store.audits.full import TallyLimit
from services.rewards.store.audits.helpers import AuditProgress, Helpers
from services.rewards.store.plans import ProgramPlans
from services.rewards.store.view import on_one_snapshot

RETRY_SECONDS = 10.0
"""The time after which whoever was told that an audit is under way is asked to come again: an audit of what is new
takes less, a full one may take minutes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditTurn:
    """The outcome of looking whether an audit is due."""

    audit: Audit | None
    """The audit that was made; None where none is due, or another process is making it."""
    due_time: datetime | None
    """When the next one is due; None while another process audits."""


async def audit_ledger(deps: Deps, program_id: str, reads_all: bool) -> Audit:
    """Audits one program, or all for an empty id, on one snapshot of the database: what is new and a sample, or
    everything. NOT_FOUND for a program without a plan; RESOURCE_EXHAUSTED while another process audits all programs.

    An audit of the same scope that callers have asked this process for answers this one too: a second one at the same
    time would find the same.
    """
    work = partial(_audit_program, deps, program_id, reads_all) if program_id else partial(_audit_all, deps, reads_all)
    return await deps.audits.do((program_id, reads_all), work)


def audit_progress(deps: Deps, program_id: str) -> AuditProgress:
    """How far the full audit of one program has come, or of all for an empty id; nothing of nothing where this process
    makes none."""
    return deps.audit_progress.get(program_id, AuditProgress())


async def audit_when_due(deps: Deps, interval: timedelta) -> AuditTurn:
    """Audits all programs where that was not done for an interval by any process."""
    try:
        async with deps.database.transaction() as conn:
            await on_one_snapshot(conn, writes=True)
            await checkpoint.lock(conn, waits=False)
            found = await checkpoint.read(conn)
            if not found.is_due:
                return AuditTurn(None, found.due_time)
            audit = await _audit_and_note(deps, conn, found, reads_all=False)
            return AuditTurn(audit, await checkpoint.next_due(conn, interval.total_seconds()))
    except AuditUnderWayError:
        return AuditTurn(None, None)


async def _audit_all(deps: Deps, reads_all: bool) -> Audit:
    try:
        async with deps.database.transaction() as conn:
            await on_one_snapshot(conn, writes=True)
            await checkpoint.lock(conn, waits=True)
            return await _audit_and_note(deps, conn, await checkpoint.read(conn), reads_all)
    except AuditUnderWayError:
        raise resource_exhausted(
            "AUDIT_UNDER_WAY", "another process audits all programs: come again when it has ended", RETRY_SECONDS
        ) from None


async def _audit_program(deps: Deps, program_id: str, reads_all: bool) -> Audit:
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn, writes=True)  # into temporary tables
        plans = await deps.plans.load(conn, [program_id])
        if program_id in plans and not plans[program_id]:
            raise not_found("program", program_id)
        await plans.compile(conn, [(each, version.version) for each in plans for version in plans[each]])
        found = await checkpoint.read(conn)
        return await _audit(deps, conn, program_id, plans, found, reads_all, sampled=())


async def _audit_and_note(deps: Deps, conn: AsyncConnection, found: Checkpoint, reads_all: bool) -> Audit:
    """Audits all programs, and has the next audit go on from there if the ledger is right. No checkpoint passes over
    what is wrong: then the next one reads everything again, until it is right."""
    # What no conversion needs is not compiled.
    plans = await deps.plans.load(conn, await expiry.programs(conn))
    turn = await sample.next_turn(conn, found.sampled)
    audit = await _audit(deps, conn, "", plans, found, reads_all, turn.wallets)
    if not audit.is_clean:
        await checkpoint.forget(conn)
    elif audit.coverage is None:
        await checkpoint.begin_anew(conn, found)
    else:
        await checkpoint.advance(conn, found)
        await checkpoint.note_sample(conn, turn.last, turn.ends_round)
    return audit


async def _audit(
    deps: Deps,
    conn: AsyncConnection,
    program_id: str,
    plans: ProgramPlans,
    found: Checkpoint,
    reads_all: bool,
    sampled: Sequence[sample.Wallet],
) -> Audit:
    """The audit of what is new and of a sample where nothing in them is wrong, of everything otherwise."""
    limits = _limits(plans)
    audit = None if reads_all else await _audit_news(deps, conn, program_id, list(plans), found, limits, sampled)
    if audit is None:
        # The job does without helpers: it has few connections, and other work that takes turns on them.
        audit = await _audit_fully(deps, conn, program_id, limits, deps.audit_helpers if reads_all else None)
    unreadable = [AuditFinding("PLAN_UNREADABLE", each, "plan", why) for each, why in sorted(plans.unreadable.items())]
    return replace(audit, findings=(*unreadable, *audit.findings))


async def _audit_fully(
    deps: Deps, conn: AsyncConnection, program_id: str, limits: Sequence[TallyLimit], helpers: Helpers | None
) -> Audit:
    progress = deps.audit_progress[program_id] = AuditProgress()
    try:
        return await full.run(conn, program_id, deps.clock.now(), limits, helpers, progress)
    finally:
        if deps.audit_progress.get(program_id) is progress:
            del deps.audit_progress[program_id]


async def _audit_news(
    deps: Deps,
    conn: AsyncConnection,
    program_id: str,
    programs: Sequence[str],
    found: Checkpoint,
    limits: Sequence[TallyLimit],
    sampled: Sequence[sample.Wallet],
) -> Audit | None:
    """None where everything has to be read: there is no clean audit to go on from, or there are signs of something
    wrong."""
    if found.horizon is None or found.clean_time is None or found.round_time is None or not found.is_fresh:
        return None
    given = full.parameters(program_id, deps.clock.now(), limits)
    new = await news.examine_news(conn, found.horizon, programs, given)
    wallets = list(dict.fromkeys([*await sample.active(conn), *sampled]))
    old = await sample.examine_sample(conn, wallets, given)
    findings = await full.find(conn, full.FLOW, given)
    await news.plan_as_usual(conn)
    if new.signs or old.signs:
        log.warning("audit reads everything", signs_in_news=new.signs, signs_in_sample=old.signs)
        return None
    return Audit(
        new.movement_count + old.movement_count,
        new.account_count + old.account_count,
        new.reward_count + old.reward_count,
        tuple(findings[:MAX_FINDINGS]),
        Coverage(found.clean_time, len(wallets), found.round_time),
    )


def _limits(plans: ProgramPlans) -> list[TallyLimit]:
    """The limits of caps and budgets; one that a later version made smaller may have been used more before."""
    largest: dict[tuple[str, str], int] = {}
    for program_id, versions in plans.items():
        for version in versions:
            for name, amount_minor in version.limits.items():
                largest[program_id, name] = max(largest.get((program_id, name), 0), amount_minor)
    return [TallyLimit(program_id, name, amount_minor) for (program_id, name), amount_minor in largest.items()]
