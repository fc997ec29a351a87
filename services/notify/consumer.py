"""The events of stream REWARDS, decoded for the command that delivers them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from upline.rewards.v1.events_pb2 import RewardEventBatch

from chassis.progress import Progress
from chassis.telemetry import EVENTS
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
        """Delivers the events of the messages. Raises after that if one breaks its contract, so that its message is set
        aside."""
        unusable: list[UnusableEventError] = []
        for portion in _portions(payloads, unusable):
            try:
                await deliver(self.deps, portion)
            except UnusableEventError as error:
                unusable.append(error)
            else:
                self.progress.made()
            EVENTS.labels(consumer=CONSUMER).inc(len(portion))
        if unusable:
            raise unusable[0]


def _portions(payloads: Sequence[bytes], unusable: list[UnusableEventError]) -> Iterator[list[Cause]]:
    """Yields the events of the messages, decoded as they are needed; adds those that break their contract to
    `unusable`."""
    portion: list[Cause] = []
    for payload in payloads:
        for event in RewardEventBatch.FromString(payload).events:
            try:
                portion.append(read_cause(event))
            except UnusableEventError as error:
                unusable.append(error)
        if len(portion) >= CAUSES_PER_TRANSACTION:
            yield portion
            portion = []
    if portion:
        yield portion
