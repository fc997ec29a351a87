"""A reader of a service's stream, as the service sees it that publishes there: what its messages tell, what it says of
the facts that it has settled, and whether the stream has let go of them."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from chassis import telemetry
from chassis.comparison import Answer, Difference, Fact, compare, decode_answer, encode_question
from chassis.stream import Extent, Stream
from chassis.topology import StreamSpec, reconcile_subject

LET_GO_SECONDS = 5.0
"""The longest wait for a stream to let go of a part of it; whatever waits for that is for the next round."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Batches:
    """How the messages of a stream are read: each is a batch of events, in which a fact is told."""

    facts: Callable[[bytes], list[Fact]]
    """The facts that a message tells."""
    only: Callable[[bytes, Collection[str]], bytes]
    """The message with those of its events that have one of the ids."""


@dataclass(frozen=True, slots=True)
class AskedReader:
    """Asks a reader, whichever of its processes, what it has settled (`chassis.answering`)."""

    stream: Stream
    spec: StreamSpec
    """The stream that the service publishes on."""
    consumer: str
    """The reader."""
    batches: Batches
    let_go_seconds: float = LET_GO_SECONDS

    async def ask(self, facts: Sequence[Fact]) -> Difference | None:
        """Asks what the reader has not settled; None if it does not say."""

        async def ask(part: Sequence[Fact]) -> Answer | None:
            told = await self.stream.ask(reconcile_subject(self.consumer), encode_question(part))
            return None if told is None else decode_answer(told)

        difference = await compare(ask, facts)
        telemetry.RECONCILE_ANSWERED.labels(self.consumer).set(difference is not None)
        return difference

    async def extent(self) -> Extent:
        """The messages on the stream."""
        return await self.stream.extent(self.spec)

    async def wait_let_go(self, part: Extent) -> bool:
        """Waits for the stream to have let go of a part of it; says whether it has."""
        ends = asyncio.get_running_loop().time() + self.let_go_seconds
        while not await self.stream.has_let_go(self.spec, part):
            if asyncio.get_running_loop().time() > ends:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True
