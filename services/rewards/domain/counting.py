"""Facts of programs that count something: each is decided with the tallies that those before it left, and changes them."""

from collections.abc import Sequence

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.effects import difference, effects
from services.rewards.domain.pay import Outcome, decide
from services.rewards.domain.plan import Plan
from services.rewards.domain.reads import reads
from services.rewards.domain.running import RunningTallies
from services.rewards.domain.settlement import Accrual, accrue, post
from services.rewards.domain.snapshot import EMPTY, Snapshot
from services.rewards.domain.tallies import TallyKey


def settle_next(plan: Plan, conversion: Conversion, running: RunningTallies) -> tuple[Accrual, Snapshot | None]:
    """A conversion's rewards, and the snapshot they were decided with; None where the plan reads none.

    What it counts takes effect once its own rewards are decided.
    """
    if not plan.is_stateful:
        return accrue(plan, conversion), None
    keys = reads(plan, conversion)
    snapshot = running.snapshot(keys) if keys else EMPTY
    decisions = decide(plan, conversion, snapshot)
    running.apply(effects(plan, conversion, decisions, snapshot), conversion.record_time)
    paid = [each for each in decisions if each.outcome is Outcome.PAID]
    return post(plan, conversion, paid), snapshot if keys else None


def take_back_next(
    plan: Plan,
    conversion: Conversion,
    snapshot: Snapshot,
    earlier: Sequence[Reversal],
    new: Sequence[Reversal],
    running: RunningTallies,
) -> None:
    """Takes out of the tallies what reversals take back of a conversion; each is dated by itself."""
    if not plan.is_stateful:
        return
    gone = list(earlier)
    before = _effects_after(plan, conversion, snapshot, gone)
    for reversal in new:
        gone.append(reversal)
        left = _effects_after(plan, conversion, snapshot, gone)
        running.apply(difference(left, before), reversal.record_time)
        before = left


def _effects_after(
    plan: Plan, conversion: Conversion, snapshot: Snapshot, reversals: Sequence[Reversal]
) -> dict[TallyKey, int]:
    left = after(conversion, reversals)
    return effects(plan, left, decide(plan, left, snapshot), snapshot)
