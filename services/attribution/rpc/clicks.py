"""ClickService."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from upline.attribution.v1 import click_pb2

from chassis.handlers import Context
from chassis.times import unix_ms
from services.attribution.commands.clicks import record_click, record_clicks, token_of, tokens_of
from services.attribution.commands.deps import ClickDeps
from services.attribution.wire.clicks import SealedClicks, Sealer
from services.attribution.wire.plain_clicks import PlainClicks, plain_clicks

SELF_VALIDATING: Final = frozenset({"RecordClick", "RecordClicks", "StreamClicks"})
"""Clicks are checked as they are sealed: for 500 of them, the general check costs three times as much as all the rest
does."""
_RETURN_TOKENS = click_pb2.RecordClicksRequest(return_tokens=True).SerializeToString()
"""The bytes that stand behind the clicks of a request for tokens."""
BATCHES_AHEAD = 4
"""The number of batches of one stream that are worked on while the first of them waits for the disk."""


Request = TypeVar("Request", click_pb2.RecordClicksRequest, click_pb2.StreamClicksRequest)


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request that was not parsed, for its clicks are plain."""

    clicks: PlainClicks
    return_tokens: bool


def _reader(parse: Callable[[bytes], Request]) -> Callable[[bytes], PlainRequest | Request]:
    """A reader of requests that parses only those whose clicks are not plain."""

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
"""Readers of requests by method: parsing 500 clicks and writing them again costs as much as all the rest of the
call."""


@dataclass(frozen=True, slots=True)
class ClickServicer:
    """Clicks: durable before they are acknowledged. Methods are named as the contract names them, which says the
    rest."""

    service = click_pb2.DESCRIPTOR.services_by_name["ClickService"]

    deps: ClickDeps
    sealer: Sealer

    async def RecordClick(
        self, request: click_pb2.RecordClickRequest, _context: Context
    ) -> click_pb2.RecordClickResponse:
        now_ms = unix_ms(self.deps.clock.now())
        click = self.sealer.read_click(request, now_ms)
        await record_click(self.deps, click)
        return click_pb2.RecordClickResponse(
            click_id=click.click_id, click_token=token_of(self.deps, click, now_ms), kind=click.kind
        )

    async def RecordClicks(
        self, request: PlainRequest | click_pb2.RecordClicksRequest, _context: Context
    ) -> click_pb2.RecordClicksResponse:
        now_ms = unix_ms(self.deps.clock.now())
        clicks = self._read_clicks(request, now_ms)
        await record_clicks(self.deps, clicks)
        return click_pb2.RecordClicksResponse(
            recorded_count=len(clicks),
            click_tokens=tokens_of(self.deps, clicks, now_ms) if request.return_tokens else (),
        )

    async def StreamClicks(
        self, requests: AsyncIterator[PlainRequest | click_pb2.StreamClicksRequest], _context: Context
    ) -> AsyncIterator[click_pb2.StreamClicksResponse]:
        ahead: asyncio.Queue[asyncio.Task[int] | None] = asyncio.Queue()
        slots = asyncio.Semaphore(BATCHES_AHEAD)
        # Read beside the answering, for a caller may wait for one answer before it sends the next batch.
        reader = asyncio.create_task(self._begin_batches(requests, ahead, slots))
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

    async def _begin_batches(
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
        clicks = self._read_clicks(request, unix_ms(self.deps.clock.now()))
        await record_clicks(self.deps, clicks)
        return len(clicks)

    def _read_clicks(
        self, request: PlainRequest | click_pb2.RecordClicksRequest | click_pb2.StreamClicksRequest, now_ms: int
    ) -> PlainClicks | SealedClicks:
        if not isinstance(request, PlainRequest):
            return self.sealer.read_clicks(request, now_ms)
        if request.clicks.are_timely(now_ms):
            return request.clicks
        # Click by click it is found out which one is at fault.
        return self.sealer.read_clicks(click_pb2.RecordClicksRequest.FromString(request.clicks.frame), now_ms)
