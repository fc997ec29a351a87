"""The facts of a program decided again, one after the other, without a database."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.ledger import AccountKind
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.accrual import Accrual
from services.rewards.domain.settle.clawback import PostedReward, Revision, claw_back, revised
from services.rewards.domain.settle.counting import prepare, release_headroom, reverse_effects
from services.rewards.domain.settle.holds import Rejection, reject_rewards
from services.rewards.domain.tally.running import RunningTallies
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot

NetRewards = dict[tuple[str, str, str], tuple[int, int]]
"""How many rewards there were by rule, beneficiary and asset, and what is left of them after reversals, in minor
units."""


@dataclass(slots=True)
class _Open:
    """A conversion that is taken back later, or whose rewards a person rejects."""

    plan: Plan
    snapshot: Snapshot
    posted: list[PostedReward]
    earlier: list[Reversal]
    rejected: tuple[str, ...] = ()
    """The rules whose rewards a person rejected."""

    def revise(self, revisions: Iterable[Revision]) -> None:
        """Takes revisions out of the rewards."""
        self.posted = revised(self.posted, revisions)


class Replay:
    """The facts of a program, given again in the order in which they were settled, and what follows from them so
    far."""

    def __init__(self) -> None:
        self.tallies = RunningTallies({})
        self._open: dict[str, _Open] = {}

    def decide(
        self, plan: Plan, conversion: Conversion, position: int, *, to_be_revised: bool
    ) -> tuple[Accrual, Snapshot | None]:
        """The conversion's rewards and its snapshot; it is remembered where reversals or a rejection follow."""
        accrual, snapshot = prepare(plan, conversion).decide(self.tallies, position)
        if to_be_revised:
            posted = [PostedReward(each, each.amount_minor, AccountKind.AVAILABLE) for each in accrual.rewards]
            self._open[conversion.conversion_id] = _Open(plan, snapshot or EMPTY, posted, [])
        return accrual, snapshot

    def take_back(self, conversion: Conversion, reversal: Reversal, position: int) -> tuple[Revision, ...]:
        """The revisions by which a reversal takes back the conversion's rewards."""
        opened = self._open[conversion.conversion_id]
        reverse_effects(
            opened.plan,
            conversion,
            opened.snapshot,
            opened.earlier,
            [(reversal, position)],
            self.tallies,
            opened.rejected,
        )
        clawback = claw_back(opened.plan, conversion, opened.earlier, reversal, opened.posted, opened.snapshot)
        opened.earlier.append(reversal)
        opened.revise(clawback.revisions)
        return clawback.revisions

    def reject(self, conversion: Conversion, rejection: Rejection) -> tuple[Revision, ...]:
        """The revisions by which a person rejects rewards of the conversion."""
        opened = self._open[conversion.conversion_id]
        release_headroom(opened.plan, conversion, opened.snapshot, opened.earlier, rejection, self.tallies)
        revisions, _ = reject_rewards(rejection, opened.posted)
        opened.rejected = rejection.rule_ids
        opened.revise(revisions)
        return revisions
