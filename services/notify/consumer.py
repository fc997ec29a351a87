"""Stream REWARDS → inboxes."""

from collections.abc import Sequence
from dataclasses import dataclass

from upline.rewards.v1.events_pb2 import RewardEventBatch

from chassis.telemetry import EVENTS
from services.notify.commands.deliver import deliver
from services.notify.commands.deps import Deps
from services.notify.domain.cause import Cause, UnusableEventError
from services.notify.wire.events import cause

CONSUMER = "notify"
FETCH_MESSAGES = 32
"""A message holds up to 500 events of ten or more earnings: half a megabyte, and half a second of work."""


@dataclass(frozen=True, slots=True)
class RewardEvents:
    """Handles messages of the stream."""

    deps: Deps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Delivers what the messages tell of. Raises after that if an event breaks its contract, so that the message is set aside."""
        usable: list[Cause] = []
        unusable: list[UnusableEventError] = []
        for payload in payloads:
            for event in RewardEventBatch.FromString(payload).events:
                try:
                    usable.append(cause(event))
                except UnusableEventError as error:
                    unusable.append(error)
        await deliver(self.deps, usable)
        EVENTS.labels(consumer=CONSUMER).inc(len(usable))
        if unusable:
            raise unusable[0]
