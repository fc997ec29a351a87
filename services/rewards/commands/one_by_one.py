"""Work on several things, of which those at fault keep no others from it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from chassis.database import is_transient

Thing = TypeVar("Thing")


async def one_by_one(things: Iterable[Thing], work: Callable[[Thing], Awaitable[object]]) -> None:
    """Works on one after the other. One that fails keeps no other from it: the first error is raised after the last."""
    failures: list[Exception] = []
    for each in things:
        try:
            await work(each)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def isolating(things: Sequence[Thing], work: Callable[[Sequence[Thing]], Awaitable[None]]) -> list[Exception]:
    """Works on all at once; where that fails by a fault of some, on each half, down to those at fault.

    Returns the errors of these. Raises what may succeed later, for then all of them have to come again.
    """
    try:
        await work(things)
    except Exception as error:
        if is_transient(error):
            raise
        if len(things) == 1:
            return [error]
        middle: int = len(things) // 2
        return [*await isolating(things[:middle], work), *await isolating(things[middle:], work)]
    return []
