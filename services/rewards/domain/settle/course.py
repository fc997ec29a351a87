"""The facts of a program decided again, one after the other, without a database."""

from dataclasses import dataclass

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.ledger import Place
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.counting import Case, take_back_next
from services.rewards.domain.settle.settlement import Accrual, Posted, Revision, claw_back
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot


@dataclass(slots=True)
class _Open:
    """A conversion that is taken back later."""

    plan: Plan
    snapshot: Snapshot
    posted: list[Posted]
    earlier: list[Reversal]


class Course:
    """What came of the facts so far. Facts are given in the order in which they were settled."""

    def __init__(self) -> None:
        self.tallies = RunningTallies({})
        self._open: dict[str, _Open] = {}

    def settle(self, plan: Plan, conversion: Conversion, *, to_be_reversed: bool) -> tuple[Accrual, Snapshot | None]:
        """A conversion's rewards and the snapshot to keep; it is remembered where reversals follow."""
        accrual, snapshot = Case(plan, conversion).settle(self.tallies)
        if to_be_reversed:
            posted = [Posted(each, each.amount_minor, Place.AVAILABLE) for each in accrual.rewards]
            self._open[conversion.conversion_id] = _Open(plan, snapshot or EMPTY, posted, [])
        return accrual, snapshot

    def take_back(self, conversion: Conversion, reversal: Reversal) -> tuple[Revision, ...]:
        """What a reversal takes back of the conversion's rewards."""
        opened = self._open[conversion.conversion_id]
        take_back_next(opened.plan, conversion, opened.snapshot, opened.earlier, [reversal], self.tallies)
        clawback = claw_back(opened.plan, conversion, opened.earlier, reversal, opened.posted, opened.snapshot)
        opened.earlier.append(reversal)
        taken = {each.reward.reward_id: each.delta_minor for each in clawback.revisions}
        opened.posted = [
            Posted(each.reward, each.net_minor + taken.get(each.reward.reward_id, 0), each.place)
            for each in opened.posted
        ]
        return clawback.revisions
