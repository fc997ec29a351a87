"""How settling takes its turns: facts that are decided quickly among one another, those that take long apart from
them."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from chassis.apart import TakesLongError
from chassis.pacing import in_turns
from services.rewards.commands.deps import Deps
from services.rewards.domain.conversion import ArrivedConversion, Conversion, Reversal
from services.rewards.domain.plan.plan import Plan

Fact = TypeVar("Fact", ArrivedConversion, Reversal)
Made = TypeVar("Made")


class Pacing(Generic[Fact]):
    """The pace of settling some facts: in short turns on the event loop; `apart`, in a thread, whatever they take."""

    def __init__(self, deps: Deps, apart: bool, slow: set[str]) -> None:
        """`slow`: the programs that facts were left out of so far, to which this one adds its own."""
        self.slow = slow
        self.left_out: list[tuple[Fact, Exception]] = []
        """The facts that are to come again apart, with TakesLongError."""
        self._deps = deps
        self._apart = apart

    def turns(self, steps: Iterable[object]) -> AsyncIterator[None]:
        """Goes through steps; comes back after each turn."""
        return self._deps.deciding.in_turns(steps) if self._apart else in_turns(steps)

    async def make(self, values: Iterable[Made]) -> list[Made]:
        """All values, each of which takes some time to be made."""
        made: list[Made] = []

        def steps() -> Iterator[None]:
            for each in values:
                made.append(each)
                yield

        async for _ in self.turns(steps()):
            pass
        return made

    def takes_long(self, plan: Plan, conversion: Conversion) -> bool:
        """Whether a conversion is to be settled apart, and is not yet."""
        return not (
            self._apart
            or plan.is_quick(conversion.event_type)
            or plan.is_quick_for(conversion.event_type, len(conversion.upline), len(conversion.read_details().lines))
        )

    def leave_out_known(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts without those of programs of which some wait apart already: they keep their order."""
        if self._apart:
            return facts
        slow = self._deps.apart.names | self.slow
        return self.leave_out(facts, slow) if slow else facts

    def leave_out(self, facts: Sequence[Fact], program_ids: Collection[str]) -> Sequence[Fact]:
        """The facts without those of programs that take long, whose later facts are left out as well."""
        found = [(each, TakesLongError(each.program_id)) for each in facts if each.program_id in program_ids]
        if not found:
            return facts
        self.slow |= {each.program_id for each, _ in found}
        self.left_out += found
        return [each for each in facts if each.program_id not in program_ids]
