"""How long the event loop was held: whoever holds it keeps calls, events and probes of the whole process waiting."""

import asyncio

from chassis.telemetry import LOOP_LAG_SECONDS

LOOK_SECONDS = 0.02
"""The time between two looks. What holds the loop for longer than a look is seen, less up to one look; the looks
themselves take a thousandth of a processor."""


async def watch_loop() -> None:
    """Measures until cancelled: each look tells how much later than it was due it got its turn."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
