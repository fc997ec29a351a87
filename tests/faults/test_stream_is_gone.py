"""A broker that lost a stream: it is made again, and nothing that was acknowledged meanwhile is lost."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import nats
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError

from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from tests.conftest import Servers

PUBLISHERS = 4
ROUNDS = 5
ENOUGH = 20
SPEC = StreamSpec("GONE_TEST", "gone.test", ("first_reader", "second_reader"), 10 * 1024 * 1024)


@dataclass
class Publishers:
    """Publish without a pause until ENOUGH messages were acknowledged."""

    broker: Stream
    acknowledged: int = 0
    refused: int = 0

    async def run(self) -> None:
        """One of them."""
        while self.acknowledged < ENOUGH:
            try:
                await self.broker.publish(Message(SPEC.subject, uuid4().hex, "test", b"x"))
            except NoStreamResponseError:
                self.refused += 1
            else:
                self.acknowledged += 1


async def test_what_is_acknowledged_while_a_stream_is_made_is_kept(servers: Servers, broker: Stream) -> None:
    """A stream without consumers would acknowledge a message and keep nothing of it."""
    client = await nats.connect(servers.nats.url)
    rival = await Stream.connect(servers.nats.url, "rival")
    try:
        for _ in range(ROUNDS):
            publishers = Publishers(broker)
            running = [asyncio.create_task(publishers.run()) for _ in range(PUBLISHERS)]
            await asyncio.gather(broker.ensure(SPEC), rival.ensure(SPEC))
            await asyncio.gather(*running)
            assert publishers.refused > 0
            assert await undelivered(client.jetstream()) == [publishers.acknowledged] * len(SPEC.consumers)
            await client.jetstream().delete_stream(SPEC.name)
    finally:
        await rival.close()
        await client.close()


async def undelivered(jetstream: JetStreamContext) -> list[int]:
    """How many messages the stream holds for each consumer, none of which was delivered yet."""
    found = []
    for durable in SPEC.consumers:
        state = (await jetstream.stream_info(SPEC.name)).state
        delivered = (await jetstream.consumer_info(SPEC.name, durable)).delivered
        assert delivered is not None
        found.append(min(state.messages, state.last_seq - delivered.stream_seq))
    return found
