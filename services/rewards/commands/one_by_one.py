"""Work on one thing after the other, of which those at fault keep no others from it."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from chassis.database import Database, is_transient
from chassis.isolation import require_answer
from services.rewards.commands.resting import Resting

PASSED_LOOKS = (2, 64)
"""The looks after which a thing that failed gets its next turn, at first and at most. In 64 looks there are turns for
1,280 contests or 12,800 wallets: beyond that, those that fail take turns from others, but never all of them."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class Turns(Generic[Key]):
    """Turns of things that are due, of which each look finds so many: those that fail pass some looks, so that they
    take no turn from those behind them, however many fail."""

    _resting: Resting[Key] = field(default_factory=partial(Resting[Key], *PASSED_LOOKS))
    _look_number: int = 0

    def begin(self) -> list[Key]:
        """Begins a look at what is due; returns the things that pass it."""
        self._look_number += 1
        return self._resting.keys(self._look_number)

    async def run_due(self, database: Database, due: Mapping[Key, Callable[[], Awaitable[object]]]) -> None:
        """Does the work of one thing after the other. One that fails keeps no other from it: the first error is raised
        after the last of them. Raises at once if the database does not answer, which is no fault of a thing."""
        failures: list[Exception] = []
        for key, work in due.items():
            try:
                await work()
            except Exception as error:
                if is_transient(error):
                    await require_answer(database, error)
                self._resting.failed(key, error, self._look_number)
                failures.append(error)
            else:
                self._resting.worked(key)
        if failures:
            raise failures[0]
