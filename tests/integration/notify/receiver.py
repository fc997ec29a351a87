"""A server of a platform that takes webhooks and verifies their signatures, and clients of what sends them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook
from upline.notify.v1 import webhook_pb2, webhook_pb2_grpc

from chassis.ids import new_id
from tests.running import DEADLINE_SECONDS, Running


@dataclass
class Taken:
    """A request that came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The header `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        """The facts that it tells."""
        told: dict[str, Any] = json.loads(self.body)["data"]
        return told

    def verify(self, secret: str) -> None:
        """Raises if it is not signed by a secret."""
        Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """An HTTP server that answers what it is told to."""

    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    answer: Callable[[Taken], Awaitable[web.StreamResponse]] | None = None
    """How it answers; None for 204."""
    under_way: int = 0
    most_under_way: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Takes a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        taken = Taken(headers, await request.read())
        self.taken.append(taken)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.answer(taken) if self.answer else web.Response(status=204)
        finally:
            self.under_way -= 1

    def answers(self, *statuses: int, **headers: str) -> None:
        """Has it answer these, one after the other, the last one from then on."""
        left = list(statuses)

        async def answer(_: Taken) -> web.StreamResponse:
            return web.Response(status=left.pop(0) if len(left) > 1 else left[0], headers=headers)

        self.answer = answer

    async def when_taken(self, count: int, seconds: float = DEADLINE_SECONDS) -> list[Taken]:
        """The requests as soon as there are at least `count`."""
        async with asyncio.timeout(seconds):
            while len(self.taken) < count:
                await asyncio.sleep(0.01)
        return self.taken


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, on a free port of this machine."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        receiver.url = f"http://127.0.0.1:{port}/hooks"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Hooks:
    """A caller of WebhookService and DeliveryService for one program."""

    service: Running
    program_id: str

    @property
    def webhooks(self) -> webhook_pb2_grpc.WebhookServiceStub:
        """A client."""
        return webhook_pb2_grpc.WebhookServiceStub(self.service.channel)

    @property
    def deliveries(self) -> webhook_pb2_grpc.DeliveryServiceStub:
        """A client."""
        return webhook_pb2_grpc.DeliveryServiceStub(self.service.channel)

    async def create(self, url: str, kinds: Any = (), request_id: str = "") -> webhook_pb2.CreateWebhookResponse:
        """Adds a webhook."""
        request = webhook_pb2.CreateWebhookRequest(
            request_id=request_id or str(new_id()),
            program_id=self.program_id,
            url=url,
            filter=webhook_pb2.KindFilter(kinds=kinds),
        )
        return await self.webhooks.CreateWebhook(request, timeout=DEADLINE_SECONDS)

    async def rotate(self, webhook_id: str, hours: int | None = None) -> webhook_pb2.RotateWebhookSecretResponse:
        """Makes a new secret."""
        request = webhook_pb2.RotateWebhookSecretRequest(
            request_id=str(new_id()), program_id=self.program_id, webhook_id=webhook_id, overlap_hours=hours
        )
        return await self.webhooks.RotateWebhookSecret(request, timeout=DEADLINE_SECONDS)

    async def update(self, webhook_id: str, **fields: Any) -> webhook_pb2.Webhook:
        """Changes a webhook."""
        request = webhook_pb2.UpdateWebhookRequest(
            request_id=str(new_id()), program_id=self.program_id, webhook_id=webhook_id, **fields
        )
        return (await self.webhooks.UpdateWebhook(request, timeout=DEADLINE_SECONDS)).webhook

    async def delete(self, webhook_id: str) -> int:
        """Removes a webhook; returns how much was parked."""
        request = webhook_pb2.DeleteWebhookRequest(
            request_id=str(new_id()), program_id=self.program_id, webhook_id=webhook_id
        )
        return (await self.webhooks.DeleteWebhook(request, timeout=DEADLINE_SECONDS)).parked_count

    async def listed(self) -> list[webhook_pb2.Webhook]:
        """The program's webhooks."""
        request = webhook_pb2.ListWebhooksRequest(program_id=self.program_id)
        return list((await self.webhooks.ListWebhooks(request, timeout=DEADLINE_SECONDS)).webhooks)

    async def page(self, **fields: Any) -> webhook_pb2.ListDeliveriesResponse:
        """A page of deliveries."""
        request = webhook_pb2.ListDeliveriesRequest(program_id=self.program_id, **fields)
        return await self.deliveries.ListDeliveries(request, timeout=DEADLINE_SECONDS)

    async def history(self, delivery_id: str) -> webhook_pb2.GetDeliveryResponse:
        """A delivery with its attempts."""
        request = webhook_pb2.GetDeliveryRequest(program_id=self.program_id, delivery_id=delivery_id)
        return await self.deliveries.GetDelivery(request, timeout=DEADLINE_SECONDS)

    async def redeliver(self, delivery_id: str, request_id: str = "") -> webhook_pb2.Delivery:
        """Sends a parked delivery again."""
        request = webhook_pb2.RedeliverDeliveryRequest(
            request_id=request_id or str(new_id()), program_id=self.program_id, delivery_id=delivery_id
        )
        return (await self.deliveries.RedeliverDelivery(request, timeout=DEADLINE_SECONDS)).delivery

    async def when_in(
        self, state: webhook_pb2.DeliveryState.ValueType, count: int = 1, seconds: float = DEADLINE_SECONDS
    ) -> list[webhook_pb2.Delivery]:
        """The deliveries in a state as soon as there are at least `count`."""
        async with asyncio.timeout(seconds):
            while len(found := await self.all_in(state)) < count:
                await asyncio.sleep(0.02)
        return found

    async def all_in(self, state: webhook_pb2.DeliveryState.ValueType) -> list[webhook_pb2.Delivery]:
        """The deliveries in a state, the newest first."""
        found: list[webhook_pb2.Delivery] = []
        token = ""
        while True:
            page = await self.page(state=state, page_size=1000, page_token=token)
            found += page.deliveries
            if not (token := page.next_page_token):
                return found
