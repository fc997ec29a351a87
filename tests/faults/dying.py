"""The rewards service as a process of its own that dies of any message with DEADLY in it, as of one that takes all
memory. What a process that died had in hand comes again after a second, rather than after fifteen."""

import os
import signal
from collections.abc import Sequence

import chassis.consumer
import chassis.stream
from chassis import process
from services.rewards.__main__ import RewardsService
from services.rewards.consumer import ConversionEvents

DEADLY = b"this kills the process"
ACK_WAIT_SECONDS = 1.0

_handle = ConversionEvents.handle


async def _die(self: ConversionEvents, payloads: Sequence[bytes]) -> None:
    if any(DEADLY in each for each in payloads):
        os.kill(os.getpid(), signal.SIGKILL)
    await _handle(self, payloads)


if __name__ == "__main__":
    chassis.stream.ACK_WAIT_SECONDS = ACK_WAIT_SECONDS
    chassis.consumer.HEARTBEAT_SECONDS = ACK_WAIT_SECONDS / 3
    ConversionEvents.handle = _die  # type: ignore[method-assign]
    process.main(RewardsService)
