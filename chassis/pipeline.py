"""A pipeline of two steps: one needs this process, the other waits for another process, so the first goes ahead."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Part = TypeVar("Part")


async def write_pipelined(parts: AsyncIterator[Part], write: Callable[[Part], Awaitable[None]], ahead: int) -> None:
    """Writes one part after the other while the next ones are made; so many, 1 at least, may be `ahead` of the part
    that is being written.

    Raises the error of making, if there is one, else the first of writing. No write is begun after one that failed, and
    none goes on when this returns or raises.
    """
    writing: list[asyncio.Task[None]] = []

    async def write_after(before: asyncio.Task[None] | None, part: Part) -> None:
        if before is not None:
            await before
        await write(part)

    try:
        async for part in parts:
            writing.append(asyncio.create_task(write_after(writing[-1] if writing else None, part)))
            if len(writing) > ahead:
                await writing[-1 - ahead]
        if writing:
            await writing[-1]
    finally:
        await asyncio.gather(*writing, return_exceptions=True)
