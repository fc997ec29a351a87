"""Work on several things, each by itself."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Thing = TypeVar("Thing")


async def one_by_one(things: Iterable[Thing], work: Callable[[Thing], Awaitable[object]]) -> None:
    """Works on one after the other. One that fails keeps no other from it: the first error is raised after the last of them."""
    failures: list[Exception] = []
    for each in things:
        try:
            await work(each)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
