"""ClickService."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from upline.attribution.v1 import click_pb2

from chassis.server import Context
from services.attribution.commands.clicks import ClickDeps, record_click, record_clicks, record_plain_clicks
from services.attribution.wire.clicks import PlainClicks, plain_clicks

SELF_VALIDATING: Final = frozenset({"RecordClick", "RecordClicks", "StreamClicks"})
"""The commands check clicks themselves: for 500 of them the general check costs three times as much as all the rest."""
_RETURN_TOKENS = click_pb2.RecordClicksRequest(return_tokens=True).SerializeToString()
"""What a request for tokens has behind its clicks."""
BATCHES_AHEAD = 4
"""Batches of one stream that are worked on while the first of them waits for the disk."""


Request = TypeVar("Request", click_pb2.RecordClicksRequest, click_pb2.StreamClicksRequest)


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request that was not parsed, for its clicks are plain."""

    clicks: PlainClicks
    return_tokens: bool


def _reader(parse: Callable[[bytes], Request]) -> Callable[[bytes], PlainRequest | Request]:
    """Reads requests; parses those that have to be."""

    def read(body: bytes) -> PlainRequest | Request:
        if clicks := plain_clicks(body):
            return PlainRequest(clicks, return_tokens=False)
        if body.endswith(_RETURN_TOKENS) and (clicks := plain_clicks(body.removesuffix(_RETURN_TOKENS))):
            return PlainRequest(clicks, return_tokens=True)
        return parse(body)

    return read


READERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "RecordClicks": _reader(click_pb2.RecordClicksRequest.FromString),
    "StreamClicks": _reader(click_pb2.StreamClicksRequest.FromString),
}
"""Parsing 500 clicks and writing them again costs as much as looking at their bytes."""


@dataclass(frozen=True, slots=True)
class ClickServicer:
    """Clicks: durable before they are acknowledged."""

    deps: ClickDeps

    async def RecordClick(
        self, request: click_pb2.RecordClickRequest, _context: Context
    ) -> click_pb2.RecordClickResponse:
        """Records one click."""
        token = await record_click(self.deps, request)
        click = request.click
        return click_pb2.RecordClickResponse(click_id=click.click_id, click_token=token, kind=click.kind)

    async def RecordClicks(
        self, request: PlainRequest | click_pb2.RecordClicksRequest, _context: Context
    ) -> click_pb2.RecordClicksResponse:
        """Records one batch."""
        if isinstance(request, PlainRequest):
            tokens = await record_plain_clicks(self.deps, request.clicks, return_tokens=request.return_tokens)
            return click_pb2.RecordClicksResponse(recorded_count=len(request.clicks.click_ids), click_tokens=tokens)
        tokens = await record_clicks(self.deps, request, return_tokens=request.return_tokens)
        return click_pb2.RecordClicksResponse(recorded_count=len(request.clicks), click_tokens=tokens)

    async def StreamClicks(
        self, requests: AsyncIterator[PlainRequest | click_pb2.StreamClicksRequest], _context: Context
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
        requests: AsyncIterator[PlainRequest | click_pb2.StreamClicksRequest],
        ahead: "asyncio.Queue[asyncio.Task[int] | None]",
        slots: asyncio.Semaphore,
    ) -> None:
        try:
            async for request in requests:
                ahead.put_nowait(asyncio.create_task(self._record(request)))
                await slots.acquire()
        finally:
            ahead.put_nowait(None)

    async def _record(self, request: PlainRequest | click_pb2.StreamClicksRequest) -> int:
        if isinstance(request, PlainRequest):
            await record_plain_clicks(self.deps, request.clicks, return_tokens=False)
            return len(request.clicks.click_ids)
        await record_clicks(self.deps, request, return_tokens=False)
        return len(request.clicks)
