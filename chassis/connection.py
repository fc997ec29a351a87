"""A connection to the broker that comes back by itself. What is announced over it is not stored."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

RECONNECT_SECONDS = 1.0
"""The pause before a client is made anew that has given up, as after a refused password."""
ANSWER_SECONDS = 10.0
"""The longest wait for the answer to a question; where nobody is there to answer, the broker says so at once."""
CLOSE_SECONDS = 2.0
"""The longest wait for a connection that is being made when it is closed."""

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Listener:
    """Somebody who wants the announcements on one subject."""

    subject: str
    deliver: Callable[[Msg], Awaitable[None]]
    queue: str = ""
    """Those who share a queue take turns; without one each is told everything."""
    subscription: Subscription | None = None
    """The subscription on the present connection; None while there is no connection."""


class Connection:
    """A connection to the broker that comes back by itself, with everybody who listens."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._listeners: list[_Listener] = []
        self._subscribing = asyncio.Lock()
        self._there = asyncio.Event()
        """Set as soon as there has been a connection."""
        self._renew()
        self._connecting = asyncio.create_task(self._stay_connected())

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker. One that hangs counts as there until its pings go unanswered."""
        return self._client.is_connected

    def require(self) -> None:
        """Raises ConnectionError if there is no connection."""
        if not self.connected:
            raise ConnectionError("not connected to the broker")

    async def announce(self, subject: str, payload: bytes) -> None:
        """Tells whoever listens right now, without storing (a wake-up, never a fact)."""
        self.require()
        await self._client.publish(subject, payload)

    async def listen(
        self, subject: str, on_message: Callable[[bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Hands announcements over, whenever there is a connection, until the returned function is called."""

        async def deliver(message: Msg) -> None:
            await on_message(message.data)

        return await self._add(_Listener(subject, deliver))

    async def ask(self, subject: str, question: bytes) -> bytes | None:
        """The answer of whoever answers on a subject; None if nobody does. Neither is stored."""
        self.require()
        try:
            return (await self._client.request(subject, question, timeout=ANSWER_SECONDS)).data
        except (NoRespondersError, NatsTimeout):
            return None

    async def answer(self, subject: str, queue: str, reply: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answers questions, one at a time, whenever there is a connection. Those who share a queue take turns. Where
        `reply` raises there is no answer."""

        async def deliver(message: Msg) -> None:
            try:
                answer = await reply(message.data)
            except Exception as error:
                log.warning("cannot answer", subject=subject, error=error)
            else:
                await message.respond(answer)

        await self._add(_Listener(subject, deliver, queue))

    async def _add(self, listener: _Listener) -> Callable[[], Awaitable[None]]:
        """Begins to listen; returns what ends it."""
        self._listeners.append(listener)
        await self._subscribe()

        async def stop() -> None:
            self._listeners.remove(listener)
            if listener.subscription is not None:
                await listener.subscription.unsubscribe()

        return stop

    async def close(self) -> None:
        """Closes the connection."""
        self._connecting.cancel()
        await asyncio.wait([self._connecting], timeout=CLOSE_SECONDS)
        await self._client.close()

    def _renew(self) -> None:
        """Begins with a new client, on which nobody is subscribed."""
        self._client = Client()
        for each in self._listeners:
            each.subscription = None

    async def _subscribe(self) -> None:
        """Subscribes for whoever listens and is not subscribed yet."""
        async with self._subscribing:
            for each in self._listeners:
                if self.connected and each.subscription is None:
                    each.subscription = await self._client.subscribe(each.subject, each.queue, each.deliver)

    async def _stay_connected(self) -> None:
        """Connects, and again where the client has given up, as after a refused password. A broken connection it mends
        itself."""

        async def on_error(error: Exception) -> None:
            log.warning("broker connection", error=error)

        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        options: dict[str, Any] = {
            "name": self._name,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.5,
            "ping_interval": 10,
            "max_outstanding_pings": 2,
            "error_cb": on_error,
            "closed_cb": on_closed,
        }
        while True:
            try:
                await self._client.connect(self._url, **options)
                await self._subscribe()
                self._there.set()
                await closed.wait()
            except Exception as error:
                await on_error(error)
            await asyncio.sleep(RECONNECT_SECONDS)
            closed.clear()
            self._renew()
