"""The metrics of rewards that tell what stands in its database, in its memory, and what its audit found."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.measuring import Measure, Standing
from chassis.telemetry import Snapshot, named_programs
from services.rewards.commands.deps import Deps
from services.rewards.domain.wallet.payout import PayoutState
from services.rewards.store import deferred, standing
from services.rewards.store.audits.findings import Audit

OVERDUE_HOLDS = Gauge(
    "upline_overdue_holds",
    "Holds that were over a minute ago and are not released; the oldest 10,000 of each kind are counted. The 20"
    " programs that have the most are named, all others are one without a name.",
    ["program"],
)
OVERDUE_HOLD_AGE = Gauge("upline_overdue_hold_age_seconds", "Time since the hold was over that is overdue the longest.")
PAYOUTS = Gauge(
    "upline_payouts_waiting",
    "Payouts that wait: requested for an approval, approved to be handed over, sent for the provider's word, failed for"
    " a person; 10,000 are counted. Of each state the 20 programs that have the most are named, all others are one"
    " without a name.",
    ["state", "program"],
)
PAYOUT_AGE = Gauge(
    "upline_payout_age_seconds", "Time since the payout came into its state that waits in it the longest.", ["state"]
)
RESTING = Gauge(
    "upline_resting_programs",
    "Programs that this process leaves alone for some seconds, because their facts waited in vain. 20 are named, all"
    " others are one without a name.",
    ["program"],
)
DEFERRED = Gauge(
    "upline_deferred_facts",
    "Facts of programs whose orders take long to decide, which wait for their turn in the database; 10,000 of a program"
    " are counted. The 20 programs that have the most are named, all others are one without a name.",
    ["program"],
)
DEFERRED_AGE = Gauge("upline_deferred_fact_age_seconds", "Time for which the fact waits that waits the longest.")
CACHED_PLANS = Gauge(
    "upline_plan_cache_entries", "Programs of which outlines are kept, and versions that are kept compiled.", ["kind"]
)
CACHED_BYTES = Gauge(
    "upline_plan_cache_bytes", "Memory of the outlines and of the compiled plans that are kept, as estimated.", ["kind"]
)
FINDINGS = Gauge(
    "upline_audit_findings",
    "Findings of the last audit of all programs, by check, in the process that made it.",
    ["check"],
)
CLEAN_AUDIT = Gauge(
    "upline_audit_clean_timestamp_seconds",
    "When the last audit of all programs ended in this process that found nothing; 0 while there was none.",
)
AUDIT_ENDED = Gauge(
    "upline_audit_ended_timestamp_seconds", "When the last audit of all programs ended in this process; 0 before it."
)
AUDIT_SECONDS = Gauge("upline_audit_duration_seconds", "Time that this process' last audit of all programs took.")

_findings = Snapshot(FINDINGS)


def all_of(deps: Deps) -> list[Measure]:
    """All that a process of rewards tells now and then."""
    return [_holds(deps), _payouts(deps), _deferred(), _memory(deps)]


def tell_audit(audit: Audit, seconds: float) -> None:
    """Tells what an audit of all programs found that has just ended."""
    AUDIT_ENDED.set_to_current_time()
    AUDIT_SECONDS.set(seconds)
    _findings.tell({(check,): count for check, count in Counter(each.check for each in audit.findings).items()})
    if not audit.findings:
        CLEAN_AUDIT.set_to_current_time()


def forget_findings() -> None:
    """Tells no findings any more: another process has audited all programs since."""
    _findings.tell({})


def _holds(deps: Deps) -> Measure:
    counts = Snapshot(OVERDUE_HOLDS)

    async def tell(conn: AsyncConnection) -> None:
        found = await standing.overdue_holds(conn, deps.clock.now())
        named = named_programs({program_id: each.number for program_id, each in found.items()})
        counts.tell({(program_id,): count for program_id, count in named.items()})
        OVERDUE_HOLD_AGE.set(_longest(found))

    return tell


def _payouts(deps: Deps) -> Measure:
    counts, ages = Snapshot(PAYOUTS), Snapshot(PAYOUT_AGE)

    async def tell(conn: AsyncConnection) -> None:
        found = await standing.waiting_payouts(conn, deps.clock.now())
        told: dict[tuple[str, ...], float] = {}
        oldest: dict[tuple[str, ...], float] = {}
        for state in sorted({each for each, _ in found}):
            of_state = {program_id: each for (found_state, program_id), each in found.items() if found_state is state}
            name = state_name(state)
            for program_id, count in named_programs({each: of_state[each].number for each in of_state}).items():
                told[name, program_id] = count
            oldest[name,] = _longest(of_state)
        counts.tell(told)
        ages.tell(oldest)

    return tell


def _deferred() -> Measure:
    counts = Snapshot(DEFERRED)

    async def tell(conn: AsyncConnection) -> None:
        found = await deferred.standing(conn)
        named = named_programs({program_id: each.number for program_id, each in found.items()})
        counts.tell({(program_id,): count for program_id, count in named.items()})
        DEFERRED_AGE.set(_longest(found))

    return tell


def _memory(deps: Deps) -> Measure:
    resting = Snapshot(RESTING)

    async def tell(_conn: AsyncConnection) -> None:
        programs = deps.resting_programs.keys(asyncio.get_running_loop().time())
        resting.tell({(each,): count for each, count in named_programs(dict.fromkeys(programs, 1.0)).items()})
        for kind, (count, memory_bytes) in deps.plans.sizes.items():
            CACHED_PLANS.labels(kind).set(count)
            CACHED_BYTES.labels(kind).set(memory_bytes)

    return tell


def state_name(state: PayoutState) -> str:
    """A state as metrics name it."""
    return state.name.lower()


def _longest(found: Mapping[str, Standing]) -> float:
    return max((each.age_seconds for each in found.values()), default=0.0)
