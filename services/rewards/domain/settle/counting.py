"""Facts of programs that count something: each is decided with the tallies that those before it left, and changes them."""

from collections.abc import Collection, Iterable, Sequence

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.decide.beneficiaries import verdict
from services.rewards.domain.decide.effects import changes_of, difference, effects, members
from services.rewards.domain.decide.evaluation import decide, decide_whole
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.decide.needed_tallies import tally_keys_of
from services.rewards.domain.decide.pay import owed
from services.rewards.domain.plan.audience import BUYER_LEVEL
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.settlement import Accrual, accrue, post
from services.rewards.domain.settle.waiting import Rejection
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot
from services.rewards.domain.tally.tallies import TallyKey


class PreparedConversion:
    """A conversion that is about to be decided by a plan; what is asked of it more than once is found out once."""

    def __init__(self, plan: Plan, conversion: Conversion) -> None:
        self.plan = plan
        self.conversion = conversion
        self._inputs = Inputs(plan, conversion, EMPTY)
        self._reads = tally_keys_of(plan, self._inputs)
        self.needs = self._reads + counted if (counted := members(plan, self._inputs)) else self._reads
        """The tallies that have to be known to decide the conversion and to apply what it counts; one may be named twice."""
        for rule in self._inputs.event_rules.rules:
            if rule.when is not None and not rule.when.asks_for_people:
                verdict(
                    rule.when, self._inputs, "", BUYER_LEVEL
                )  # and kept: nobody waits for it behind the program's lock

    def settle(self, running: RunningTallies, position: int) -> tuple[Accrual, Snapshot | None]:
        """The conversion's rewards, and the snapshot they were decided with; None where the plan reads none.
        `position`: among the facts of the program.

        What it counts takes effect once its own rewards are decided.
        """
        plan, conversion, inputs = self.plan, self.conversion, self._inputs
        if not plan.is_stateful:
            return accrue(plan, conversion), None
        inputs.snapshot = running.snapshot(self._reads) if self._reads else EMPTY
        decisions = decide_whole(plan, inputs)
        running.apply(changes_of(plan, inputs, decisions), (conversion.record_time, position))
        return post(plan, conversion, owed(decisions)), inputs.snapshot if self._reads else None


def take_back_next(
    plan: Plan,
    conversion: Conversion,
    snapshot: Snapshot,
    earlier: Sequence[Reversal],
    new: Iterable[tuple[Reversal, int]],
    running: RunningTallies,
    rejected: Collection[str] = (),
) -> None:
    """Takes out of the tallies what `new` reversals take back of a conversion, each with its position; each is dated by
    itself. `refused`: rules whose rewards a person refused before."""
    if not plan.is_stateful:
        return
    gone = list(earlier)
    before = _effects_after(plan, conversion, snapshot, gone, rejected)
    for reversal, position in new:
        gone.append(reversal)
        left = _effects_after(plan, conversion, snapshot, gone, rejected)
        running.apply(difference(left, before).items(), (reversal.record_time, position))
        before = left


def release_headroom(
    plan: Plan,
    conversion: Conversion,
    snapshot: Snapshot,
    earlier: Sequence[Reversal],
    rejection: Rejection,
    running: RunningTallies,
) -> None:
    """Gives back the room in caps and budgets of what is refused. Nothing else changes: the conversion happened."""
    if not plan.is_stateful:
        return
    before = _effects_after(plan, conversion, snapshot, earlier, ())
    left = _effects_after(plan, conversion, snapshot, earlier, rejection.rule_ids)
    running.apply(difference(left, before).items(), (rejection.moment, 0))  # no score is among it


def _effects_after(
    plan: Plan, conversion: Conversion, snapshot: Snapshot, reversals: Sequence[Reversal], rejected: Collection[str]
) -> dict[TallyKey, int]:
    left = after(conversion, reversals)
    decisions = decide(plan, left, snapshot)
    if rejected:
        # Room is used by what is owed. A bonus that a person refused was due all the same, and is not due again.
        decisions = [each._replace(amount_minor=0) if each.rule.rule_id in rejected else each for each in decisions]
    return effects(plan, left, decisions, snapshot)
