"""Programs that count something: each fact is decided with the tallies that those before it left, and changes them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion, ConversionKey, Reversal, after
from services.rewards.domain.decide.effects import changes_of, difference, effects, members
from services.rewards.domain.decide.evaluation import decide, decide_whole
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.decide.needed_tallies import tally_keys_of
from services.rewards.domain.decide.pay import owed
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.accrual import Accrual, accrue, post
from services.rewards.domain.settle.holds import Rejection
from services.rewards.domain.tally.running import RunningTallies, TallyChanges
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot
from services.rewards.domain.tally.tallies import TallyKey


@dataclass(frozen=True, slots=True)
class PreparedConversion:
    """A conversion that is about to be decided by a plan, with everything that can be known before its program's lock
    is taken."""

    plan: Plan
    conversion: Conversion
    inputs: Inputs
    read_tallies: list[TallyKey]
    """The tallies that its rewards depend on; one may be named twice."""
    needed_tallies: list[TallyKey]
    """The tallies that have to be loaded: those that are read, and those that its effects depend on."""

    def decide(self, running: RunningTallies, position: int) -> tuple[Accrual, Snapshot | None]:
        """The conversion's rewards, and the snapshot they were decided with; None where the plan reads none.

        What it counts takes effect once its own rewards are decided, at its `position` among the program's facts.
        """
        plan, conversion, inputs = self.plan, self.conversion, self.inputs
        if not plan.is_stateful:
            return accrue(plan, conversion), None
        inputs.snapshot = running.snapshot(self.read_tallies) if self.read_tallies else EMPTY
        decisions = decide_whole(plan, inputs)
        running.apply(changes_of(plan, inputs, decisions), (conversion.record_time, position))
        inputs.let_facts_go()
        return post(plan, conversion, owed(decisions)), inputs.snapshot if self.read_tallies else None


def ask_ahead(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> Conversion:
    """The conversion with the verdicts of all conditions that deciding it, or what is left of it, asks for. To be done
    before a lock is taken where it takes long: nobody waits for the conditions behind the lock then.

    What is asked with other counters than those of the snapshot is asked again.
    """
    asked = conversion.keeping_verdicts(plan)
    effects(plan, asked, decide(plan, asked.whole, snapshot), snapshot)
    return asked


def prepare(plan: Plan, conversion: Conversion) -> PreparedConversion:
    """Finds out what can be known of a conversion before it is its turn: nobody waits for it behind the lock then."""
    inputs = Inputs(plan, conversion, EMPTY)
    inputs.evaluate(rule.when for rule in inputs.event_rules.rules if rule.when is not None)
    read = tally_keys_of(plan, inputs)
    counted = members(plan, inputs)
    inputs.let_facts_go()
    return PreparedConversion(plan, conversion, inputs, read, read + counted if counted else read)


class CountedPosition(NamedTuple):
    """When a conversion was settled among those of its program, and with which tallies; None for what is not
    counted."""

    position: int | None = None
    snapshot: str | None = None


@dataclass(slots=True)
class DecidedPart:
    """Conversions that were decided together, to be written together."""

    conversions: list[Conversion] = field(default_factory=list)
    accruals: list[Accrual] = field(default_factory=list)
    counted: dict[ConversionKey, CountedPosition] = field(default_factory=dict)
    """The positions of conversions of programs whose facts have an order."""
    changes: Mapping[str, TallyChanges] = field(default_factory=dict)
    """The changes of tallies that the conversions make, by program."""

    def add(
        self,
        conversion: Conversion,
        prepared: PreparedConversion | None,
        running: RunningTallies | None,
        position: int,
        late: Sequence[Reversal],
    ) -> int:
        """Decides the next conversion, and returns how many rewards it has; `prepared` is None where no plan was in
        force, `running` where its program has no tallies, which only such a conversion may do without.

        `late`: reversals that came before the conversion. They take effect on tallies with it.
        """
        snapshot, rewards = None, 0
        if prepared is not None:
            if running is None:
                raise RuntimeError(f"the tallies of program {conversion.program_id!r} were not loaded")
            accrual, snapshot = prepared.decide(running, position)
            self.accruals.append(accrual)
            rewards = len(accrual.rewards)
            if late:
                new = [(each, position) for each in late]
                reverse_effects(prepared.plan, conversion, snapshot or EMPTY, [], new, running)
        self.conversions.append(conversion)
        self.counted[conversion.key] = CountedPosition(position, None if snapshot is None else snapshot.to_json())
        return rewards

    def add_plain(self, plan: Plan | None, conversion: Conversion) -> int:
        """Decides the next conversion of a program whose facts have no order, and returns how many rewards it has."""
        self.conversions.append(conversion)
        if plan is None:
            return 0
        accrual = accrue(plan, conversion)
        self.accruals.append(accrual)
        return len(accrual.rewards)


@dataclass(slots=True)
class PendingConversions:
    """Conversions that are about to be decided, in the order in which they take effect."""

    plain: list[tuple[Plan | None, Conversion]] = field(default_factory=list)
    """Conversions of programs whose facts have no order, with the plans that pay them; None where none was in force."""
    counting: list[tuple[PreparedConversion | None, Conversion]] = field(default_factory=list)
    """Conversions of programs whose facts have an order; None where no plan was in force."""

    @property
    def conversions(self) -> list[Conversion]:
        """All of them."""
        return [conversion for _, conversion in (*self.plain, *self.counting)]

    def only(self, keys: Collection[ConversionKey]) -> "PendingConversions":
        """The conversions with these keys."""
        return PendingConversions(
            [each for each in self.plain if each[1].key in keys],
            [each for each in self.counting if each[1].key in keys],
        )


def reverse_effects(
    plan: Plan,
    conversion: Conversion,
    snapshot: Snapshot,
    earlier: Sequence[Reversal],
    new: Iterable[tuple[Reversal, int]],
    running: RunningTallies,
    rejected: Collection[str] = (),
) -> None:
    """Takes out of the tallies what `new` reversals take back of a conversion, each with its position; each is dated by
    itself. `rejected`: rules whose rewards a person rejected before."""
    if not plan.is_stateful:
        return
    reversals = list(earlier)
    before = _effects_after(plan, conversion, snapshot, reversals, rejected)
    for reversal, position in new:
        reversals.append(reversal)
        left = _effects_after(plan, conversion, snapshot, reversals, rejected)
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
    """Gives back the headroom in caps and budgets that rejected rewards used. Nothing else changes: the conversion
    happened."""
    if not plan.is_stateful:
        return
    before = _effects_after(plan, conversion, snapshot, earlier, ())
    left = _effects_after(plan, conversion, snapshot, earlier, rejection.rule_ids)
    running.apply(difference(left, before).items(), (rejection.time, 0))  # no score is among it


def _effects_after(
    plan: Plan, conversion: Conversion, snapshot: Snapshot, reversals: Sequence[Reversal], rejected: Collection[str]
) -> dict[TallyKey, int]:
    left = after(conversion, reversals)
    decisions = decide(plan, left, snapshot)
    if rejected:
        # What is owed uses headroom. A bonus that a person rejected was due all the same, and is not due again.
        decisions = [each._replace(amount_minor=0) if each.rule.rule_id in rejected else each for each in decisions]
    return effects(plan, left, decisions, snapshot)
