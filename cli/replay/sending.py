"""Many rows on their way to a service: in batches, a few of them in flight at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
from rich.progress import Progress

from cli.output import begin_bar
from cli.replay.rows import Row, refusal_by_line

RECORD_BATCH = 500
"""The number of rows that the payout side takes at once too."""
IN_FLIGHT = 4

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BatchSender:
    """Sends batches and shows how far it has come."""

    bars: Progress

    async def send(
        self,
        title: str,
        items: Sequence[Item],
        send_batch: Callable[[Sequence[Item]], Awaitable[int]],
        *,
        batch: int = RECORD_BATCH,
        in_flight: int = IN_FLIGHT,
    ) -> int:
        """Sends batches, a few at a time; returns the sum of the answers."""
        bar = begin_bar(self.bars, title, len(items))
        gate = asyncio.Semaphore(in_flight)
        total = 0

        async def one(part: Sequence[Item]) -> None:
            nonlocal total
            try:
                count = await send_batch(part)
            finally:
                gate.release()
            total += count  # the sum is not read before the await above, for several of these run at once
            self.bars.advance(bar, len(part))

        try:
            async with asyncio.TaskGroup() as group:
                for part in batches(items, batch):
                    await gate.acquire()
                    group.create_task(one(part))
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return total


def tell_by_line(send: Callable[[Sequence[Row]], Awaitable[int]]) -> Callable[[Sequence[Row]], Awaitable[int]]:
    """Wraps `send` so that its refusals are told by the lines of the file that the rows came from."""

    async def sent(rows: Sequence[Row]) -> int:
        try:
            return await send(rows)
        except grpc.RpcError as error:
            if (failed := refusal_by_line(error, rows)) is not None:
                raise failed from error
            raise

    return sent


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in slices of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
