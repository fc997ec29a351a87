"""A service process: runs its tasks until told to stop, and stops them in order."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog
import uvloop
from pydantic import ValidationError

log = structlog.get_logger(__name__)


class Service(Protocol):
    """What a composition root builds."""

    async def start(self) -> None:
        """Connects and begins to answer; returns when it does."""
        ...

    async def run(self) -> None:
        """Works until cancelled; raises if it cannot go on."""
        ...

    async def stop(self) -> None:
        """Finishes what is in flight and closes."""
        ...


async def run_all(*tasks: Coroutine[Any, Any, None]) -> None:
    """Runs tasks until one raises or the caller is cancelled; the others are cancelled with it."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task)


async def serve(service: Service) -> None:
    """Runs a service until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # A start that was cut short or failed has answered nobody: the end of the process closes what it opened.
    if not await _unless(stopping, service.start()):
        return
    try:
        await _unless(stopping, service.run())
    finally:
        await service.stop()


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Awaits `work`, but cancels it as soon as `stopping` is set; returns whether it came to its end."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if task.cancelled():
        return False
    await task
    return True


def main(build: Callable[[], Service]) -> None:
    """Runs the service that `build` makes, as the whole process."""

    async def whole() -> None:
        await serve(build())

    try:
        uvloop.run(whole())
    except RuntimeError as error:
        sys.exit(f"cannot run: {error}")
    except ValidationError as error:
        # Names and reasons only: settings hold passwords.
        wrong = "; ".join(f"UPLINE_{each['loc'][0]}".upper() + f": {each['msg']}" for each in error.errors())
        sys.exit(f"cannot run with these settings: {wrong}")
