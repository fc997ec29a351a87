"""How long a piece of code holds the event loop, told by the time of the processor: on a busy machine everything waits,
and a loop that merely waits is not held."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.heap import freeze_heap
from chassis.pacing import SWITCH_SECONDS

LOOK_SECONDS = 0.005


@dataclass
class Held:
    """The longest time for which the loop was held so far."""

    seconds: float = 0.0


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Held]:
    """Looks, as often as it gets a turn, for how long it had none while the process was working. Meanwhile, heap and
    interpreter are as in the process of a service that has started."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    freeze_heap()
    held = Held()

    async def watch() -> None:
        while True:
            began, began_working = time.perf_counter(), time.process_time()
            await asyncio.sleep(LOOK_SECONDS)
            late = time.perf_counter() - began - LOOK_SECONDS
            held.seconds = max(held.seconds, min(late, time.process_time() - began_working))

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        await asyncio.sleep(2 * LOOK_SECONDS)  # whatever held it to the end is seen, too
        watching.cancel()
        sys.setswitchinterval(interval)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
