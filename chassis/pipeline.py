"""Work in two steps, of which the first needs this process and the second waits for another: the first goes ahead."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

Part = TypeVar("Part")


class Pipeline(Generic[Part]):
    """Writes parts one after the other, in the order in which they are put, while the next ones are made.

    Leaving it waits until all of them are written, and raises the first error of writing. No write is begun after one
    that failed, and none goes on after leaving, whichever error ended the making.
    """

    def __init__(self, write: Callable[[Part], Awaitable[None]], ahead: int) -> None:
        """`ahead`: how many parts may wait besides the one that is being written, at least 1."""
        self._write = write
        self._ahead = ahead
        self._writing: list[asyncio.Task[None]] = []

    async def put(self, part: Part) -> None:
        """Has a part written after those before it. Waits where too many are not written yet, and then raises the first
        error of writing."""
        before = self._writing[-1] if self._writing else None
        self._writing.append(asyncio.create_task(self._write_after(before, part)))
        if len(self._writing) > self._ahead:
            await self._writing[-1 - self._ahead]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None and self._writing:
                await self._writing[-1]
        finally:
            await asyncio.gather(*self._writing, return_exceptions=True)

    async def _write_after(self, before: asyncio.Task[None] | None, part: Part) -> None:
        if before is not None:
            await before
        await self._write(part)
