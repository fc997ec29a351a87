"""The events of stream REWARDS, decoded for the command that delivers them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from upline.rewards.v1.events_pb2 import RewardEvent, RewardEventBatch

from chassis.consumer import SomeFailedError
from chassis.dead_letters import About
from chassis.progress import Progress
from chassis.telemetry import BATCH_EVENTS, EVENTS
from services.notify.commands.deliver import deliver
from services.notify.commands.deps import Deps
from services.notify.domain.cause import Cause, UnusableEventError
from services.notify.wire.events import read_cause

CONSUMER = "notify"
CAUSES_PER_TRANSACTION = 500
"""The number of causes at which a transaction is closed: with ten beneficiaries each, 5,000 rows and a fifth of a
second."""
FETCH_MESSAGES = 32
"""The most messages in hand. Each holds up to 500 events of ten or more earnings: half a megabyte, and half a second of
work."""


@dataclass(frozen=True, slots=True)
class RewardEvents:
    """The consumer's handler: it delivers the events of messages."""

    deps: Deps
    progress: Progress = field(default_factory=Progress)

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Delivers the events of the messages. Raises SomeFailedError after that if one cannot be read or delivered."""
        failed: dict[int, Exception] = {}
        about: dict[int, About] = {}
        for portion in _portions(payloads, failed, about):
            BATCH_EVENTS.labels(CONSUMER).observe(len(portion))
            undelivered = await deliver(self.deps, [cause for _, cause in portion])
            errors = {(cause.program_id, cause.event_id): error for cause, error in undelivered}
            for place, cause in portion if errors else ():
                if error := errors.get((cause.program_id, cause.event_id)):
                    failed.setdefault(place, error)
                    about.setdefault(place, _about(cause))
            if len(undelivered) < len(portion):
                self.progress.made()
            EVENTS.labels(consumer=CONSUMER).inc(len(portion))
        if failed:
            raise SomeFailedError(failed, about)


def _about(event: RewardEvent | Cause) -> About:
    """The names that logs give to an event."""
    told = {"program": event.program_id, "conversion": event.conversion_id, "event_id": event.event_id}
    return {name: text for name, text in {**told, "trace_id": event.trace_id}.items() if text}


def _portions(
    payloads: Sequence[bytes], unreadable: dict[int, Exception], about: dict[int, About]
) -> Iterator[list[tuple[int, Cause]]]:
    """Yields the events of the messages with the places of these, decoded as they are needed; adds the places of those
    messages that cannot be read, or whose events break their contract, to `unreadable`, and the events to `about`."""
    portion: list[tuple[int, Cause]] = []
    for place, payload in enumerate(payloads):
        try:
            events = RewardEventBatch.FromString(payload).events
        except DecodeError as error:
            unreadable[place] = error
            continue
        for event in events:
            try:
                portion.append((place, read_cause(event)))
            except UnusableEventError as error:
                unreadable.setdefault(place, error)
                about.setdefault(place, _about(event))
        if len(portion) >= CAUSES_PER_TRANSACTION:
            yield portion
            portion = []
    if portion:
        yield portion
