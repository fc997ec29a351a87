"""Programs whose facts take long to decide: they are settled apart from those of others."""

from collections.abc import Collection
from dataclasses import dataclass, field

SLOW_SECONDS = 60.0
"""The time for which a program stays apart after the last fact that took long, so that its facts keep their order: what
comes meanwhile waits behind those that came before."""
MAX_SLOW = 10_000
"""The most programs that are remembered: a megabyte. Beyond it the first is forgotten, until its next such fact."""


@dataclass(slots=True)
class SlowPrograms:
    """The programs that are settled apart in one process, each for a while."""

    _until: dict[str, float] = field(default_factory=dict)

    def remember(self, program_ids: Collection[str], now: float) -> None:
        """Has programs settled apart from now on for a while."""
        for each in program_ids:
            self._until.pop(each, None)
            self._until[each] = now + SLOW_SECONDS
        while len(self._until) > MAX_SLOW:
            del self._until[next(iter(self._until))]

    def at(self, now: float) -> frozenset[str]:
        """The programs that are settled apart."""
        if not self._until:
            return frozenset()
        self._until = {each: until for each, until in self._until.items() if now < until}
        return frozenset(self._until)
