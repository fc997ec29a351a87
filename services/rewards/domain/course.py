"""The facts of a program decided again, one after the other, without a database."""

from dataclasses import dataclass

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.ledger import Place, Reward
from services.rewards.domain.plan import Plan
from services.rewards.domain.settlement import Accrual, Posted, Revision, accrue, claw_back


@dataclass(slots=True)
class _Open:
    """A conversion that may still be taken back."""

    plan: Plan
    posted: list[Posted]
    earlier: list[Reversal]


class Course:
    """What came of the facts so far. Facts are given in the order in which they were settled."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def settle(self, plan: Plan, conversion: Conversion, *, to_be_reversed: bool) -> Accrual:
        """A conversion's rewards; it is remembered where reversals follow."""
        accrual = accrue(plan, conversion)
        if to_be_reversed:
            posted = [Posted(each, each.amount_minor, Place.AVAILABLE) for each in accrual.rewards]
            self._open[conversion.conversion_id] = _Open(plan, posted, [])
        return accrual

    def take_back(self, conversion: Conversion, reversal: Reversal) -> tuple[Revision, ...]:
        """What a reversal takes back of the conversion's rewards."""
        opened = self._open[conversion.conversion_id]
        clawback = claw_back(opened.plan, conversion, opened.earlier, reversal, opened.posted)
        opened.earlier.append(reversal)
        taken = {each.reward.reward_id: each.delta_minor for each in clawback.revisions}
        opened.posted = [
            Posted(each.reward, each.net_minor + taken.get(each.reward.reward_id, 0), each.place)
            for each in opened.posted
        ]
        return clawback.revisions

    def net(self, conversion: Conversion) -> list[tuple[Reward, int]]:
        """What is left of the rewards of a conversion that was to be reversed."""
        return [(each.reward, each.net_minor) for each in self._open[conversion.conversion_id].posted]
