"""Reading a stream in batches: a message is acknowledged after the commit, and set aside where it cannot be handled."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg

from chassis.database import is_transient
from chassis.dead_letters import DeadLetters
from chassis.pull import EXPIRES_SECONDS, ConsumerGoneError, Pull
from chassis.stream import Stream
from chassis.topology import StreamSpec

HEARTBEAT_SECONDS = 5.0
"""The time between two requests to the broker for more time: a third of what it gives,
`chassis.stream.ACK_WAIT_SECONDS`."""
FETCH_MESSAGES = 256
RETRY_SECONDS = (0.2, 1.0, 5.0, 15.0, 30.0)
"""The pauses before a failed message is delivered again; a plain nak comes back within 10 ms and spins."""

log = structlog.get_logger(__name__)


@dataclass
class Consumer:
    """Reads one durable consumer in batches; any number of processes may read the same one.

    `handle` commits what the payloads say in one transaction, and must be safe to call twice with the same payloads.
    """

    stream: Stream
    spec: StreamSpec
    durable: str
    handle: Callable[[Sequence[bytes]], Awaitable[None]]
    dead_letters: DeadLetters
    fetch_messages: int = FETCH_MESSAGES
    retry_seconds: tuple[float, ...] = RETRY_SECONDS
    expires_seconds: float = EXPIRES_SECONDS

    async def run(self) -> None:
        """Reads until cancelled; then hands back the messages it holds, for others to work on at once."""
        pull: Pull | None = None
        messages: list[Msg] = []
        try:
            while True:
                try:
                    if pull is None:
                        pull = await self.stream.pull(self.spec, self.durable, self.expires_seconds)
                    messages = await pull.next(self.fetch_messages)
                except ConsumerGoneError:
                    await self._recreate()
                    continue
                except Exception as error:
                    log.warning("cannot pull, will retry", consumer=self.durable, error=error)
                    if pull is not None and pull.closed:
                        pull = None
                    await asyncio.sleep(RETRY_SECONDS[1])
                    continue
                if messages:
                    await self._work_on(messages)
        finally:
            await self._hand_back(pull, messages)

    async def _work_on(self, messages: list[Msg]) -> None:
        heartbeat = asyncio.create_task(_ask_for_time(messages))
        try:
            await self._handle_all(messages)
        finally:
            heartbeat.cancel()

    async def _hand_back(self, pull: Pull | None, messages: list[Msg]) -> None:
        try:
            if pull is not None:
                messages = messages + await pull.close()
            for message in messages:
                if not message.is_acked:
                    await message.nak()
        except Exception as error:  # they are delivered again when their time is over
            log.warning("cannot hand back", consumer=self.durable, error=error)

    async def _recreate(self) -> None:
        """Makes the stream again that a broker which lost its disk does not have, rather than wait for an operator."""
        log.warning("stream or consumer is gone, creating it", stream=self.spec.name, consumer=self.durable)
        try:
            await self.stream.ensure(self.spec)
        except Exception as error:
            log.warning("cannot create stream", stream=self.spec.name, error=error)
            await asyncio.sleep(RETRY_SECONDS[1])

    async def _handle_all(self, messages: list[Msg]) -> None:
        """Handles all messages at once. Where that fails for a reason of their own, each is handled alone, so that one
        bad message harms only itself."""
        try:
            await self.handle([each.data for each in messages])
        except Exception as error:
            if is_transient(error):
                log.warning("batch failed, will retry", consumer=self.durable, error=error)
                for message in messages:
                    await self._nak(message)
                return
            for message in messages:
                await self._handle_one(message)
            return
        await self._acknowledge(messages)

    async def _handle_one(self, message: Msg) -> None:
        try:
            await self.handle([message.data])
        except Exception as error:
            if is_transient(error) or not await self._give_up(message, error):
                await self._nak(message)
            return
        await self._acknowledge([message])

    async def _give_up(self, message: Msg, error: Exception) -> bool:
        """Counts a failure; says whether it was the last one allowed, so that the message is set aside."""
        try:
            if not await self.dead_letters.give_up(self.durable, message, error):
                log.error("message failed, will retry", consumer=self.durable, exc_info=error)
                return False
            log.error("message set aside as a dead letter", consumer=self.durable, exc_info=error)
            await message.term()
        except Exception as fault:  # it is delivered again, and fails again, until this can be told
            log.warning("cannot set a message aside, will retry", consumer=self.durable, error=fault)
            return False
        return True

    async def _acknowledge(self, messages: list[Msg]) -> None:
        try:
            for message in messages:
                await message.ack()
        except Exception as error:
            log.warning("cannot acknowledge", consumer=self.durable, error=error)

    async def _nak(self, message: Msg) -> None:
        delivered = message.metadata.num_delivered or 1
        wait = self.retry_seconds[min(delivered, len(self.retry_seconds)) - 1]
        try:
            await message.nak(delay=wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
        except Exception as error:
            log.warning("cannot nak", consumer=self.durable, error=error)


async def _ask_for_time(messages: list[Msg]) -> None:
    """Keeps messages that are worked on from being delivered again, until cancelled."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        try:
            for message in messages:
                if not message.is_acked:
                    await message.in_progress()
        except Exception as error:  # they may come again, which costs work and changes nothing
            log.warning("cannot ask for more time", error=error)
