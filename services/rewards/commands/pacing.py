"""How settling takes its turns: facts that are decided quickly among one another, those that take long apart from
them. A thread that decides these rests between conditions, so that the event loop goes on; but not while others of the
program wait for a lock, and what takes long is asked before."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pacing import in_turns
from services.rewards.commands.deps import Deps
from services.rewards.domain.conversion import ArrivedConversion, Conversion, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.store import deferred

Fact = TypeVar("Fact", ArrivedConversion, Reversal)
Made = TypeVar("Made")


class Pacing(Generic[Fact]):
    """The pace of settling some facts: in short turns on the event loop; `apart`, in a thread, whatever they take."""

    def __init__(self, deps: Deps, apart: bool, slow: set[str]) -> None:
        """`slow`: the programs that facts were left out of so far, to which this one adds its own."""
        self.slow = slow
        self._left_out: dict[tuple[str, str], Fact] = {}
        self._deps = deps
        self.apart = apart
        """Whether facts are decided in a thread."""

    @property
    def left_out(self) -> list[Fact]:
        """The facts that are to be settled apart, each once: a part of them that failed was tried again."""
        return list(self._left_out.values())

    def turns(self, steps: Iterable[object], *, rests: bool = False) -> AsyncIterator[None]:
        """Goes through steps; comes back after each turn. `rests`: whether no lock is held meanwhile."""
        return self._deps.deciding.in_turns(steps, rests=rests) if self.apart else in_turns(steps)

    async def make(self, values: Iterable[Made], *, rests: bool = False) -> list[Made]:
        """All values, each of which takes some time to be made, in turns."""
        made: list[Made] = []
        async for _ in self.turns(map(made.append, values), rests=rests):
            pass
        return made

    def takes_long(self, plan: Plan, conversion: Conversion) -> bool:
        """Whether a conversion is to be settled apart, and is not yet."""
        return not self.apart and takes_long(plan, conversion)

    async def find_slow(self, conn: AsyncConnection, program_ids: Collection[str]) -> None:
        """Adds to `slow` those among programs of which facts wait already: what comes behind them keeps its order."""
        if not self.apart:
            self.slow |= await deferred.programs_among(conn, program_ids)

    def leave_out(self, facts: Sequence[Fact], program_ids: Collection[str]) -> Sequence[Fact]:
        """The facts without those of programs that take long, whose later facts are left out as well."""
        found = [each for each in facts if each.program_id in program_ids]
        if not found:
            return facts
        self.slow |= {each.program_id for each in found}
        self._left_out |= {each.key: each for each in found}
        return [each for each in facts if each.program_id not in program_ids]


def takes_long(plan: Plan, conversion: Conversion) -> bool:
    """Whether a conversion takes long to decide."""
    return not (
        plan.is_quick(conversion.event_type)
        or plan.is_quick_for(conversion.event_type, len(conversion.upline), len(conversion.read_details().lines))
    )
