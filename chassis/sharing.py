"""Work that several ask for at once is done once, and all get its result."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")


class Shared(Generic[Key, Result]):
    """Work of one kind in this process, by what it is about."""

    def __init__(self) -> None:
        self._under_way: dict[Key, _Work[Result]] = {}

    async def do(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Does the work, or waits for the same that is under way; its result, or its error. Work for which nobody waits
        any more is given up, and has come to its end when the last of them is gone."""
        mine = self._under_way.get(key)
        if mine is None:
            mine = self._under_way[key] = _Work(asyncio.create_task(work()))
        mine.waiting += 1
        try:
            # Shielded, for one who leaves must not end it for the others.
            return await asyncio.shield(mine.task)
        finally:
            mine.waiting -= 1
            if not mine.waiting or mine.task.done():
                if self._under_way.get(key) is mine:
                    del self._under_way[key]
                if mine.task.cancel():
                    await asyncio.wait([mine.task])


@dataclass(slots=True)
class _Work(Generic[Result]):
    """Work that is under way."""

    task: asyncio.Task[Result]
    waiting: int = 0
    """The number of those who wait for it."""
