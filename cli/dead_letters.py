"""Dead letters of all services: found, read, put back."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage
from nats.errors import Error as BrokerError
from upline.attribution.v1 import click_pb2, people_pb2
from upline.attribution.v1 import events_pb2 as attribution_events_pb2
from upline.rewards.v1 import events_pb2 as rewards_events_pb2

from chassis.database import Database
from chassis.dead_letters import DeadLetter, DeadLetters
from chassis.ids import new_id
from chassis.stream import Message, Stream
from chassis.times import to_timestamp
from chassis.topology import CLICKS, CONVERSIONS, PEOPLE, REWARDS
from cli.bundle.encode import plain_values
from cli.errors import NOT_REACHED, CommandFailed
from cli.stack.layout import SERVICES

BROKER_SECONDS = 10.0
PUT_BACK_AHEAD = 8
"""The most messages that are put back before those that stand there have been taken up: so many may be handled before a
new order. A service takes up to 64 at once, so that it never waits for these."""
POLL_SECONDS = 0.05
STANDSTILL_SECONDS = 30.0
"""The time after which a service that takes nothing up is not waited for any longer: twice that after which the broker
gives away what a process that died had in hand."""
SHOWN_TRACES = 20
"""The most traces that are told of one message, which may hold a thousand facts: more than a person follows."""
_TYPES: dict[str, type[ProtoMessage]] = {
    CLICKS.subject: click_pb2.ClickBatch,
    CONVERSIONS.subject: attribution_events_pb2.ConversionEventBatch,
    PEOPLE.subject: people_pb2.ParticipantEventBatch,
    REWARDS.subject: rewards_events_pb2.RewardEventBatch,
}
"""The type of the messages of each subject."""


class ServiceLetter(NamedTuple):
    """A dead letter and where it is kept."""

    service: str
    letters: DeadLetters
    letter: DeadLetter

    def facts(self) -> dict[str, Any]:
        """Everything about the letter but the content of its message."""
        return {
            "service": self.service,
            "consumer": self.letter.consumer,
            "message_id": self.letter.message_id,
            "subject": self.letter.subject,
            "attempts": self.letter.attempts,
            "error": self.letter.error,
            "trace_ids": self.trace_ids(),
            "payload_bytes": len(self.letter.payload),
            "create_time": plain_values(to_timestamp(self.letter.create_time)),
            "park_time": plain_values(to_timestamp(self.letter.park_time)),
        }

    def trace_ids(self) -> list[str]:
        """The traces of the facts that the message tells, each once and at most SHOWN_TRACES of them. That of the fact
        at fault stands in the error, where it is known."""
        batch = self._message()
        facts: list[Any] = []
        if isinstance(batch, attribution_events_pb2.ConversionEventBatch):
            facts = [event.recorded if event.HasField("recorded") else event.reversed for event in batch.events]
        elif isinstance(batch, (people_pb2.ParticipantEventBatch, rewards_events_pb2.RewardEventBatch)):
            facts = list(batch.events)
        return list(dict.fromkeys(each.trace_id for each in facts if each.trace_id))[:SHOWN_TRACES]

    def content(self) -> dict[str, Any]:
        """The fields of the message, or its bytes in base 64 if they cannot be read."""
        message = self._message()
        if message is not None:
            return {"content": plain_values(message)}
        return {"payload_base64": base64.b64encode(self.letter.payload).decode()}

    def _message(self) -> ProtoMessage | None:
        kind = _TYPES.get(self.letter.subject)
        try:
            return kind.FromString(self.letter.payload) if kind is not None else None
        except DecodeError:
            return None


@asynccontextmanager
async def open_letters(database_url: str) -> AsyncIterator[list[ServiceLetter]]:
    """The dead letters of all services, the oldest of each first, for as long as the context lasts."""
    databases = {service: Database(database_url, service) for service in SERVICES}
    try:
        found: list[ServiceLetter] = []
        for service, database in databases.items():
            letters = DeadLetters(database)
            found += [ServiceLetter(service, letters, each) for each in await letters.parked()]
        yield found
    finally:
        for database in databases.values():
            await database.close()


def select_letters(found: Sequence[ServiceLetter], messages: Sequence[str]) -> list[ServiceLetter]:
    """The letters with these ids, in the order of the list. Raises CommandFailed for an id that no letter has."""
    if missing := set(messages) - {each.letter.message_id for each in found}:
        raise CommandFailed(f"no dead letter has the id {', '.join(sorted(missing))}")
    return [each for each in found if each.letter.message_id in messages]


async def put_letters_back(nats_url: str, wanted: Sequence[ServiceLetter]) -> list[str]:
    """Puts messages into their streams again, and returns the ids of those that nobody else put back meanwhile.

    They go back a few at a time, as the service that reads them takes them up: whatever is published meanwhile finds no
    more than PUT_BACK_AHEAD of them before it. Raises CommandFailed where nothing is taken up.
    """
    done: list[str] = []
    async with _open_stream(nats_url) as stream:
        for each in wanted:
            if not await _is_taken_up(stream, each.letter):
                raise CommandFailed(
                    f"{len(done)} put back, {len(wanted) - len(done)} left as they are: for {STANDSTILL_SECONDS:.0f}"
                    f" seconds nothing was taken from the stream of {each.letter.subject}; does {each.service} run?"
                )
            if await each.letters.put_back(each.letter, _republish(stream, each.letter)):
                done.append(each.letter.message_id)
    return done


async def _is_taken_up(stream: Stream, letter: DeadLetter) -> bool:
    """Waits until few messages stand before the next one; says False if none of them is taken up."""
    least = await stream.undelivered(letter.subject, letter.consumer)
    patience_ends = time.monotonic() + STANDSTILL_SECONDS
    found = least
    while found >= PUT_BACK_AHEAD:
        if time.monotonic() > patience_ends:
            return False
        await asyncio.sleep(POLL_SECONDS)
        found = await stream.undelivered(letter.subject, letter.consumer)
        if found < least:
            least, patience_ends = found, time.monotonic() + STANDSTILL_SECONDS
    return True


@asynccontextmanager
async def _open_stream(nats_url: str) -> AsyncIterator[Stream]:
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            stream = await Stream.connect(nats_url, "upline-dead-letters")
    except (TimeoutError, BrokerError) as error:
        raise CommandFailed(f"the broker does not answer: {error or 'timeout'}", NOT_REACHED) from error
    try:
        yield stream
    except BrokerError as error:
        raise CommandFailed(f"the broker does not take it: {error}", NOT_REACHED) from error
    finally:
        await stream.close()


def _republish(stream: Stream, letter: DeadLetter) -> Callable[[], Any]:
    # Under its old id the broker would take it for the one that it had a few minutes ago, and drop it.
    kind = _TYPES.get(letter.subject)
    message = Message(letter.subject, str(new_id()), kind.DESCRIPTOR.full_name if kind else "", letter.payload)
    return lambda: stream.publish(message)
