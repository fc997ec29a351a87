"""The jobs that rewards does by itself: it releases holds, closes contests, repays debts, sends payouts, expires value,
rolls balances up, audits, and makes partitions. It also says how long rows live."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import product

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from chassis.clock import Clock
from chassis.gaps import GAPS
from chassis.retention import Life, common_lives
from chassis.tasks import run_all
from services.rewards.commands.audit import audit_when_due
from services.rewards.commands.contests import close_due_contests
from services.rewards.commands.deps import Deps
from services.rewards.commands.expiry import expire
from services.rewards.commands.providers import send_payouts
from services.rewards.commands.release import release_due_holds, release_ended_waits, roll_up_balances
from services.rewards.commands.spending import repay_debts
from services.rewards.measures import forget_findings, tell_audit
from services.rewards.settings import RewardsSettings
from services.rewards.store.audits.findings import Audit
from services.rewards.store.holds import OVER_FOR_GOOD

RELEASE_SECONDS = 1.0
CONTEST_SECONDS = 1.0
DEBT_SECONDS = 1.0
EXPIRY_SECONDS = 10.0
PAYOUT_SECONDS = 1.0
ROLL_UP_SECONDS = 2.0
AUDIT_SECONDS = 60.0
"""How often a process looks whether an audit is due."""
AUDIT_INTERVAL = timedelta(minutes=5)
"""The time between audits, whichever process does them."""
PARTITION_SECONDS = 6 * 3600.0
MONTHS_AHEAD = 2
RETRY_SECONDS = 60.0
"""A job that failed comes again after its pause, or after so long if that is less."""

UNSCANNED_DAYS = 30
"""How long a wallet may be overdue for its scan before that scan is forgotten: its asset expires no more, or it would
have been scanned within seconds. If the asset ever does again, a wallet without a row is scanned at once."""

JOB_FAILURES = Counter("upline_job_failures_total", "Rounds of a job that failed; it comes again by itself.", ["name"])

PARTITIONED = ("reward", "transfer")

_ENSURE_PARTITION = text("SELECT ensure_partition(:parent, :time)")

log = structlog.get_logger(__name__)


def lives(settings: RewardsSettings, clock: Clock) -> list[Life]:
    """How long the rows of the tables that grow live. What moves value, and what a rebuild or an audit reads, is not
    among them: it stays."""
    days = settings.wait_retention_days
    # A scan that was asked for has the time of the epoch: it is not old but due at once.
    overdue = "check_time < :before AND check_time > 'epoch'"
    return [
        *common_lives(settings),
        GAPS,
        Life("waits", ("hold_wait",), f"end_time < :before AND {OVER_FOR_GOOD}", days, clock),
        Life("awaited events", ("awaited_event",), "record_time < :before", days, clock),
        Life("scans", ("expiring",), overdue, UNSCANNED_DAYS, clock),
    ]


async def run(deps: Deps) -> None:
    """Runs every job until cancelled. Any number of processes may: what must happen once is locked in the database."""
    await run_all(
        _repeat(deps, "release holds", RELEASE_SECONDS, lambda: _drain(deps, release_due_holds)),
        _repeat(deps, "release waiting holds", RELEASE_SECONDS, lambda: _drain(deps, release_ended_waits)),
        _repeat(deps, "close contests", CONTEST_SECONDS, lambda: _drain(deps, close_due_contests)),
        _repeat(deps, "repay debts", DEBT_SECONDS, lambda: _drain(deps, repay_debts)),
        _repeat(deps, "expire", EXPIRY_SECONDS, lambda: _drain(deps, expire)),
        _repeat(deps, "send payouts", PAYOUT_SECONDS, lambda: _drain(deps, send_payouts)),
        _repeat(deps, "roll up balances", ROLL_UP_SECONDS, lambda: _drain(deps, roll_up_balances)),
        _repeat(deps, "audit", AUDIT_SECONDS, _Auditor(deps)),
        _repeat(deps, "make partitions", PARTITION_SECONDS, lambda: _make_partitions(deps)),
    )


async def _repeat(deps: Deps, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            JOB_FAILURES.labels(name).inc()
            log.warning("job failed, will retry", job=name, error=error)
            # Whoever moves the clock waits for what jobs do for people, but not for the upkeep that comes seldom.
            await (asyncio.sleep(seconds) if seconds < RETRY_SECONDS else deps.clock.sleep(RETRY_SECONDS))
        else:
            await deps.clock.sleep(seconds)


async def _drain(deps: Deps, work: Callable[[Deps], Awaitable[int]]) -> None:
    while await work(deps):
        pass


class _Auditor:
    """The job that audits; of all processes, one makes each audit."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._told_until: datetime | None = None
        """When the audit is due that comes after this process' own last one."""

    async def __call__(self) -> None:
        """Audits if it is time, and tells what was found."""
        began = asyncio.get_running_loop().time()
        turn = await audit_when_due(self._deps, AUDIT_INTERVAL)
        if turn.audit is not None:
            self._told_until = turn.due_time
            tell_audit(turn.audit, asyncio.get_running_loop().time() - began)
            _log_audit(turn.audit)
        elif self._told_until is not None and turn.due_time not in (None, self._told_until):
            self._told_until = None
            forget_findings()


def _log_audit(audit: Audit) -> None:
    for finding in audit.findings:
        log.error(
            "audit finding",
            check=finding.check,
            program=finding.program_id,
            subject=finding.subject,
            detail=finding.detail,
        )
    if not audit.findings:
        log.debug(
            "audit clean",
            transfers=audit.transfer_count,
            accounts=audit.account_count,
            read_all=audit.coverage is None,
        )


async def _make_partitions(deps: Deps) -> None:
    times = [deps.clock.now() + timedelta(days=31 * month) for month in range(MONTHS_AHEAD + 1)]
    for parent, time in product(PARTITIONED, times):
        # Each has a transaction of its own: it keeps everybody from its table, and must not wait for those of another.
        async with deps.database.transaction() as conn:
            await conn.execute(_ENSURE_PARTITION, {"parent": parent, "time": time})
