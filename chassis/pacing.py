"""Work that takes the processor: in short turns on the event loop, or beside it in a thread, so that whatever else a
process does goes on meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, sleep
from typing import Final, ParamSpec, TypeVar

TURN_SECONDS = 0.001
"""The time for which work on the event loop goes on before everything else gets its turn. What waits there may need ten
turns to be done, a statement of the database one or two each."""
SWITCH_SECONDS = 0.001
"""The time after which a thread that computes leaves the interpreter to the event loop, a fifth of Python's own: the
loop asks for it anew after each wait."""

_beside: Final = threading.local()
"""Since when the thread at hand has computed without a rest; nothing on the event loop."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def give_way() -> None:
    """Rests, in a thread beside the event loop, for as long as the thread has computed since its last rest; does
    nothing elsewhere. To be called between pieces that keep the interpreter to themselves: the loop asks for it many
    times for one call, and without rests would wait for such a piece each time."""
    began = getattr(_beside, "began", None)
    if began is not None and (computed := perf_counter() - began) >= TURN_SECONDS:
        sleep(computed)
        _beside.began = perf_counter()


async def in_turns(steps: Iterable[object]) -> AsyncIterator[None]:
    """Goes through steps, none of which may take long; comes back after each turn of the event loop and at the end, so
    that what was made so far can be taken over."""
    remaining = iter(steps)
    done = False
    while not done:
        done = _take_turn(remaining)
        if not done:
            await asyncio.sleep(0)
        yield


def _take_turn(steps: Iterable[object]) -> bool:
    """Takes steps for as long as a turn lasts, at least one; says whether there were no more."""
    ends = perf_counter() + TURN_SECONDS
    return next((False for _ in steps if perf_counter() >= ends), True)


def _giving_way(work: Callable[[], Result]) -> Result:
    _beside.began = perf_counter()
    try:
        return work()
    finally:
        give_way()


@dataclass(frozen=True, slots=True)
class Beside:
    """Threads for one kind of work that may take long: one piece at a time, for each takes the interpreter from
    everything else in the process. Others wait in turn; whoever goes away leaves the line. What others wait for, as
    behind a lock, has a thread and a line of its own: in one line, a lock would be held for as long as all take that
    came before, who have none."""

    name: str
    _resting: ThreadPoolExecutor = field(init=False)
    _awaited: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_resting", ThreadPoolExecutor(1, thread_name_prefix=self.name))
        object.__setattr__(self, "_awaited", ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-awaited"))

    async def run(
        self, work: Callable[Parameters, Result], *inputs: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """Does the work; returns what comes of it."""
        return await asyncio.get_running_loop().run_in_executor(
            self._resting, partial(_giving_way, partial(work, *inputs, **named))
        )

    async def run_without_rests(
        self, work: Callable[Parameters, Result], *inputs: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """Does work for which others wait, as behind a lock; returns what comes of it. The event loop goes on between
        the pieces that keep the interpreter, but more slowly: what takes many of them is to be done before."""
        return await asyncio.get_running_loop().run_in_executor(self._awaited, partial(work, *inputs, **named))

    async def in_turns(self, steps: Iterable[object], *, rests: bool = True) -> AsyncIterator[None]:
        """Goes through steps as the function of this name does, but of which each may take long."""
        remaining, run = iter(steps), self.run if rests else self.run_without_rests
        done = False
        while not done:
            done = await run(_take_turn, remaining)
            yield
