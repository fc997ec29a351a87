"""Pulling from a durable consumer: whatever is there is handed on as soon as something is.

nats-py's own `fetch` can hold a message it has received until its deadline: it asks twice with one and the same inbox,
so the answer that ends one request is taken for the end of the other, and the one that stays open never says that there
is no more. Here one request is open at a time, each has an inbox of its own, and the broker ends it: with `no_wait`
beside `expires` a request waits for its first message, gets what else is there, and is over. So no request is open
while its messages are worked on, and what comes meanwhile goes to whichever process asks.
"""

import asyncio
import json
from collections.abc import Mapping
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header, StatusCode

EXPIRES_SECONDS = 30.0
"""The time for which a request waits at the broker. Nothing depends on it: a message ends the wait at once."""
IDLE_HEARTBEAT_SECONDS = 1.0
"""The time between two signs of the broker that it still has the request."""
SILENCE_SECONDS = 2.5
"""The silence after which a request is taken for lost, as by a restart of the broker, and made again."""
REST_SECONDS = 0.1
"""The time for which messages that have arrived wait for the broker to say that there is no more, which it does in the
same breath. Only where a consumer has too many messages that are not acknowledged does it not say so."""
EMPTY_PAUSE_SECONDS = 0.02
"""The pause before asking again where a request brought nothing, because others have asked for all there is."""


class ConsumerGoneError(Exception):
    """The broker has no such consumer: it was deleted, or the broker lost its disk."""


class PullRefusedError(Exception):
    """The broker does not serve the request now."""


class Pull:
    """One reader of a durable consumer, for one task at a time."""

    def __init__(self, client: Client, stream: str, durable: str, expires_seconds: float) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._expires_seconds = expires_seconds
        self._inbox = client.new_inbox()
        self._numbers = count(1)
        self._request = ""
        """The inbox of the request that is open; empty if none is."""
        self._wanted = 0
        """The number of messages that the open request may still bring; with the last one it is over without a word."""
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Subscribes; to be called once, before anything else."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._arrived.put)

    @property
    def closed(self) -> bool:
        """Whether its connection has ended for good."""
        return self._client.is_closed

    async def next(self, limit: int) -> list[Msg]:
        """Messages as soon as there are any, `limit` at most; none now and then, so that the caller asks again.

        Raises ConsumerGoneError where the consumer has to be made again, PullRefusedError where it pays to wait.
        """
        if not self._client.is_connected:
            self._request = ""
            raise ConnectionError("not connected to the broker")
        if not self._request:
            await self._ask(limit)
        messages: list[Msg] = []
        rest_ends = 0.0
        loop = asyncio.get_running_loop()
        while self._request and len(messages) < limit:
            try:
                async with asyncio.timeout(max(0.0, rest_ends - loop.time()) if messages else SILENCE_SECONDS):
                    message = await self._arrived.get()
            except TimeoutError:
                if not messages:
                    self._request = ""
                break
            if self._is_content(message):
                rest_ends = rest_ends or loop.time() + REST_SECONDS
                messages.append(message)
            elif message.subject == self._request and (ending := _ending(message)) is not None:
                self._request = ""
                if not messages:
                    await _take_ending(*ending)
        return messages

    async def close(self) -> list[Msg]:
        """Asks for nothing more; returns what had arrived and was not handed on."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        left: list[Msg] = []
        while not self._arrived.empty():
            if self._is_content(message := self._arrived.get_nowait()):
                left.append(message)
        return left

    async def _ask(self, limit: int) -> None:
        request = f"{self._inbox}.{next(self._numbers)}"
        wanted = {
            "batch": limit,
            "no_wait": True,
            "expires": _nanoseconds(self._expires_seconds),
            "idle_heartbeat": _nanoseconds(min(IDLE_HEARTBEAT_SECONDS, self._expires_seconds / 4)),
        }
        await self._client.publish(self._subject, json.dumps(wanted).encode(), request)
        self._request, self._wanted = request, limit

    def _is_content(self, message: Msg) -> bool:
        """Whether it is a message of the stream, rather than word of a request."""
        if Header.STATUS in _headers(message):
            return False
        self._wanted -= 1
        if not self._wanted:
            self._request = ""
        return True


def _headers(message: Msg) -> Mapping[str, str]:
    return message.headers or {}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _ending(message: Msg) -> tuple[str, str] | None:
    """Status and description of the word that ends a request; None for a heartbeat."""
    headers = _headers(message)
    status = headers[Header.STATUS]
    return None if status == StatusCode.CONTROL_MESSAGE else (status, headers.get(Header.DESCRIPTION, ""))


async def _take_ending(status: str, description: str) -> None:
    """Draws the conclusion from the end of a request that brought nothing."""
    if status == StatusCode.SERVICE_UNAVAILABLE or "consumer deleted" in description.lower():
        raise ConsumerGoneError(description or "nobody answers for the consumer")
    if status == StatusCode.REQUEST_TIMEOUT and "requests pending" not in description.lower():
        return
    if status in (StatusCode.REQUEST_TIMEOUT, StatusCode.NO_MESSAGES):
        await asyncio.sleep(EMPTY_PAUSE_SECONDS)
        return
    raise PullRefusedError(f"{status} {description}".strip())
