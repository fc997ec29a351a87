"""ClickService."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from upline.attribution.v1 import click_pb2

from chassis.server import Context
from services.attribution.commands.clicks import ClickDeps, record_click, record_clicks

SELF_VALIDATING: Final = frozenset({"RecordClick", "RecordClicks", "StreamClicks"})
"""The commands check clicks themselves: for 500 of them the general check costs three times as much as all the rest."""
BATCHES_AHEAD = 4
"""Batches of one stream that are worked on while the first of them waits for the disk."""


@dataclass(frozen=True, slots=True)
class ClickServicer:
    """Clicks: durable before they are acknowledged."""

    deps: ClickDeps

    async def RecordClick(
        self, request: click_pb2.RecordClickRequest, _context: Context
    ) -> click_pb2.RecordClickResponse:
        """Records one click."""
        token = await record_click(self.deps, request)
        return click_pb2.RecordClickResponse(click_id=request.click.click_id, click_token=token)

    async def RecordClicks(
        self, request: click_pb2.RecordClicksRequest, _context: Context
    ) -> click_pb2.RecordClicksResponse:
        """Records one batch."""
        tokens = await record_clicks(self.deps, request, request.return_tokens)
        return click_pb2.RecordClicksResponse(recorded_count=len(request.clicks), click_tokens=tokens)

    async def StreamClicks(
        self, requests: AsyncIterator[click_pb2.StreamClicksRequest], _context: Context
    ) -> AsyncIterator[click_pb2.StreamClicksResponse]:
        """Records batch after batch; answers in their order."""
        ahead: asyncio.Queue[asyncio.Task[int] | None] = asyncio.Queue()
        slots = asyncio.Semaphore(BATCHES_AHEAD)
        # Read beside the answering, for a caller may wait for one answer before it sends the next batch.
        reader = asyncio.create_task(self._read(requests, ahead, slots))
        batch_count = 0
        try:
            while (task := await ahead.get()) is not None:
                recorded_count = await task
                slots.release()
                batch_count += 1
                yield click_pb2.StreamClicksResponse(recorded_count=recorded_count, batch_count=batch_count)
            await reader
        finally:
            reader.cancel()
            while not ahead.empty():
                if (task := ahead.get_nowait()) is not None:
                    task.cancel()

    async def _read(
        self,
        requests: AsyncIterator[click_pb2.StreamClicksRequest],
        ahead: "asyncio.Queue[asyncio.Task[int] | None]",
        slots: asyncio.Semaphore,
    ) -> None:
        try:
            async for request in requests:
                ahead.put_nowait(asyncio.create_task(self._record(request)))
                await slots.acquire()
        finally:
            ahead.put_nowait(None)

    async def _record(self, request: click_pb2.StreamClicksRequest) -> int:
        await record_clicks(self.deps, request, return_tokens=False)
        return len(request.clicks)
