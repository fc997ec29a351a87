"""The attribution service as it is, in a process of its own, without its click writer: the writer is measured by itself, and
in production it has cores of its own."""

import asyncio
import signal
from contextlib import suppress

import uvloop

from chassis.clock import SystemClock
from chassis.settings import ServiceSettings
from services.attribution.__main__ import Attribution


async def main() -> None:
    """Serves until SIGTERM."""
    service = Attribution(ServiceSettings(), SystemClock())
    await service.start()
    work = asyncio.create_task(service.server.run())
    print(service.server.port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    await service.stop()


if __name__ == "__main__":
    uvloop.run(main())
