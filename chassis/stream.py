"""NATS JetStream: the streams that a process needs, and publishing that waits for the disk."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import structlog
from nats.errors import Error as BrokerError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NoStreamResponseError, NotFoundError

from chassis.connection import Connection
from chassis.pull import EXPIRES_SECONDS, Pull
from chassis.topology import StreamSpec

PUBLISHES_IN_FLIGHT = 256
"""The most publishes in flight: the broker slows every client down that has more outstanding."""
PUBLISH_TIMEOUT_SECONDS = 2.0
"""The longest wait for an acknowledgement, which a healthy broker gives within milliseconds."""
PUBLISH_ATTEMPTS = 5
"""The most tries to publish. A message that was in flight when a connection broke is never answered: it is sent again,
and the broker knows it by its id."""
DEDUPE_WINDOW_SECONDS = 600.0
"""The time for which the broker knows a message again. That spares work after a lost acknowledgement; the tables' keys
are the guarantee."""
ACK_WAIT_SECONDS = 15.0
"""The time after which a dead worker's messages come back; a living one asks for more time, however long a batch
takes."""
MAX_ACK_PENDING = 4_096
OPEN_SECONDS = 3.0
"""Time for a process to find its broker when it starts; without one it begins all the same, and does what needs
none."""
TAKEN_DOWN_SECONDS = 0.25
"""The pause before a stream is made that is not there: if it was deleted a moment ago, the broker is still taking it
down, and a stream that is made meanwhile may exist and answer no publisher (seen of nats-server 2.15)."""
STORE_SECONDS = 10.0
"""The time without anything stored after which readiness tries whether the broker stores."""
_NOTHING = "upline.Nothing"
"""Type of the empty batches that are stored for the trial; no message of the contracts has this name."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A batch of events on its way to a stream."""

    subject: str
    message_id: str
    """The name of the message, unique for ever: `Nats-Msg-Id` and `ce-id`."""
    message_type: str
    """The full name of the protobuf message in `payload`: `ce-type`."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind its stream, all of its processes together."""

    undelivered: int
    """The messages that no process was given yet."""
    unacknowledged: int
    """Those that one was given, and did not acknowledge."""
    delivered: int
    """The place in the stream of the last one that was given to a process."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The messages that are on a stream, which keeps a message until its readers have acknowledged it."""

    made: datetime
    """When it was made, by which it is told from one of the same name that was lost."""
    first: int
    """The number of the first message on it, or of the next one if it is empty."""
    last: int
    """The number of the last message that was ever on it."""

    def is_past(self, earlier: "Extent") -> bool:
        """Whether nothing is left of what was on the stream earlier, be it that it was read, or lost."""
        return self.made != earlier.made or self.first > earlier.last

    def since(self, earlier: "Extent") -> "Extent":
        """The part of it that came after what was on the stream earlier."""
        return replace(self, first=earlier.last + 1) if self.made == earlier.made else self


class Stream(Connection):
    """A connection to the broker that brings back the streams which the broker has lost."""

    def __init__(self, url: str, name: str, monitor_url: str, specs: Sequence[StreamSpec]) -> None:
        super().__init__(url, name)
        self._monitor_url = monitor_url
        self._specs = {spec.subject: spec for spec in specs}
        self._making: dict[str, asyncio.Task[None]] = {}
        """Streams that are being made, by name: whoever misses one meanwhile waits for the same."""
        self._stored: dict[str, float] = {}
        """The time at which a message was last stored, by subject."""
        self._slots = asyncio.Semaphore(PUBLISHES_IN_FLIGHT)

    def _renew(self) -> None:
        super()._renew()
        self._jetstream: JetStreamContext = self._client.jetstream(
            timeout=PUBLISH_TIMEOUT_SECONDS, publish_async_max_pending=PUBLISHES_IN_FLIGHT
        )

    @classmethod
    async def connect(cls, url: str, name: str, monitor_url: str = "", specs: Sequence[StreamSpec] = ()) -> "Stream":
        """Returns when it is connected. The streams in `specs` are made where they are missing, now and later on."""
        stream = cls(url, name, monitor_url, specs)
        try:
            await stream._there.wait()
            await stream._make_all()
        except BaseException:
            await stream.close()
            raise
        return stream

    @classmethod
    async def open(cls, url: str, name: str, monitor_url: str, specs: Sequence[StreamSpec]) -> "Stream":
        """Connects as `connect` does, but returns after a moment without a broker too, and goes on trying."""
        stream = cls(url, name, monitor_url, specs)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await stream._there.wait()
                await stream._make_all()
        except (BrokerError, TimeoutError, OSError) as error:
            log.warning("beginning without the broker", error=error)
        return stream

    async def ensure(self, spec: StreamSpec) -> None:
        """Creates the stream and its consumers, or brings their settings up to date. Raises if it is not connected."""
        self.require()
        making = self._making.get(spec.name)
        if making is None:
            making = self._making[spec.name] = asyncio.create_task(self._ensure(spec))
            making.add_done_callback(lambda _: self._making.pop(spec.name, None))
        await asyncio.shield(making)

    async def _ensure(self, spec: StreamSpec) -> None:
        """A stream without consumers keeps nothing that is published to it (interest retention). So it listens to its
        subject only when it has them all: until then the broker refuses, and whoever publishes tries again."""
        try:
            await self._jetstream.stream_info(spec.name)
        except NotFoundError:
            await asyncio.sleep(TAKEN_DOWN_SECONDS)
            log.info("making a stream", stream=spec.name)
            await self._create(_config(spec, f"{spec.subject}.closed"))
        for durable in spec.consumers:
            await self._jetstream.add_consumer(
                spec.name,
                ConsumerConfig(
                    durable_name=durable,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT_SECONDS,
                    deliver_policy=DeliverPolicy.ALL,
                    max_deliver=-1,
                    max_ack_pending=MAX_ACK_PENDING,
                ),
            )
        await self._jetstream.update_stream(_config(spec, spec.subject))

    async def _make_all(self) -> None:
        for spec in self._specs.values():
            await self.ensure(spec)

    async def extent(self, spec: StreamSpec) -> Extent:
        """The messages on the stream; makes it if it is not there."""
        self.require()
        try:
            info = await self._jetstream.stream_info(spec.name)
        except NotFoundError:
            await self.ensure(spec)
            info = await self._jetstream.stream_info(spec.name)
        if info.created is None:
            raise RuntimeError(f"the broker does not say when {spec.name} was made")
        state = info.state
        return Extent(info.created, state.first_seq if state.messages else state.last_seq + 1, state.last_seq)

    async def held(self, spec: StreamSpec, part: Extent) -> AsyncIterator[bytes]:
        """The messages of a part of the stream that are still on it, one by one."""
        number = part.first
        while number <= part.last:
            try:
                message = await self._jetstream.get_msg(spec.name, number, subject=spec.subject, next=True)
            except NotFoundError:
                return
            if message.seq is None or message.seq > part.last:
                return
            yield message.data or b""
            number = message.seq + 1

    async def has_let_go(self, spec: StreamSpec, part: Extent) -> bool:
        """Whether nothing is left of a part of the stream, whatever came before it or behind."""
        now = await self.extent(spec)
        if now.is_past(part):
            return True
        if now.first < part.first:
            async for _ in self.held(spec, part):
                return False
            return True
        return False

    async def _create(self, config: StreamConfig) -> None:
        try:
            await self._jetstream.add_stream(config)
        except BadRequestError:
            # Another process was faster, and may have opened it already; if it is something else, the update says so.
            await self._jetstream.stream_info(config.name or "")

    async def publish(self, message: Message) -> None:
        """Returns when the broker has the message on disk. Raises at once where there is no connection; a stream that
        is missing, because the broker lost its disk, is made again before the next attempt."""
        headers = {
            "Nats-Msg-Id": message.message_id,
            "ce-specversion": "1.0",
            "ce-id": message.message_id,
            "ce-source": f"/upline/{message.subject}",
            "ce-type": message.message_type,
            "ce-time": datetime.now(UTC).isoformat(),
            "content-type": "application/protobuf",
        }
        async with self._slots:
            for attempt in range(1, PUBLISH_ATTEMPTS + 1):
                self.require()
                try:
                    await self._jetstream.publish(message.subject, message.payload, headers=headers)
                except NatsTimeout:
                    self._stored.pop(message.subject, None)
                    if attempt == PUBLISH_ATTEMPTS:
                        raise
                except NoStreamResponseError:
                    spec = self._specs.get(message.subject)
                    if spec is None or attempt == PUBLISH_ATTEMPTS:
                        raise
                    await self.ensure(spec)
                else:
                    self._stored[message.subject] = asyncio.get_running_loop().time()
                    return

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Publishes all; raises if any one is not on disk (the others may be: ids make the retry safe)."""
        results = await asyncio.gather(*(self.publish(each) for each in messages), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def pending(self, spec: StreamSpec, durable: str) -> int:
        """The number of messages that a consumer has still to acknowledge."""
        info = await self._jetstream.consumer_info(spec.name, durable)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def lag(self, spec: StreamSpec, durable: str) -> Lag:
        """How far a consumer is behind its stream."""
        info = await self._jetstream.consumer_info(spec.name, durable)
        delivered = info.delivered.stream_seq if info.delivered else 0
        return Lag(info.num_pending or 0, info.num_ack_pending or 0, delivered)

    async def undelivered(self, subject: str, durable: str) -> int:
        """The number of messages that a consumer of a subject's stream has not been given yet."""
        name = await self._jetstream.find_stream_name_by_subject(subject)
        return (await self._jetstream.consumer_info(name, durable)).num_pending or 0

    async def ready(self, publishes: Sequence[StreamSpec]) -> None:
        """Raises unless the broker answers, has every stream and consumer, which are made where they are missing,
        stores what is published, and loses nothing of it on power loss."""
        self.require()
        for spec in self._specs.values():
            await self._ensure_present(spec)
        for spec in publishes:
            await self._try_to_store(spec)
        if self._monitor_url:
            await asyncio.to_thread(_assert_sync_always, self._monitor_url)

    async def _ensure_present(self, spec: StreamSpec) -> None:
        try:
            await self._jetstream.stream_info(spec.name)
            for durable in spec.consumers:
                await self._jetstream.consumer_info(spec.name, durable)
        except NotFoundError:
            await self.ensure(spec)

    async def _try_to_store(self, spec: StreamSpec) -> None:
        """Stores an empty batch, which readers recognise, unless something was stored a moment ago: a broker whose disk
        was full answers whatever it is asked and stores nothing."""
        stored = self._stored.get(spec.subject)
        if stored is None or asyncio.get_running_loop().time() - stored > STORE_SECONDS:
            await self.publish(Message(spec.subject, uuid4().hex, _NOTHING, b""))

    async def pull(self, spec: StreamSpec, durable: str, expires_seconds: float = EXPIRES_SECONDS) -> Pull:
        """A reader of a durable consumer."""
        self.require()
        pull = Pull(self._client, spec.name, durable, expires_seconds)
        await pull.open()
        return pull


def _config(spec: StreamSpec, subject: str) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        subjects=[subject],
        retention=RetentionPolicy.WORK_QUEUE if spec.is_queue else RetentionPolicy.INTEREST,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=spec.max_bytes,
        duplicate_window=DEDUPE_WINDOW_SECONDS,
    )


def _assert_sync_always(monitor_url: str) -> None:
    with urlopen(f"{monitor_url}/jsz?config=true", timeout=5) as answer:  # noqa: S310 - the operator's own setting
        config: dict[str, Any] = json.load(answer).get("config", {})
    if not config.get("sync_always"):
        raise RuntimeError("the broker does not run with `sync_interval: always`: acknowledged clicks could be lost")
