"""A service process: runs its tasks until told to stop, and stops them in order."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog
import uvloop
from pydantic import ValidationError

from chassis import telemetry

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


CANCEL_AGAIN_SECONDS = 2.0
"""A library's `asyncio.wait_for` loses, before Python 3.12, a cancellation that arrives together with its result."""


GC_THRESHOLD = 10_000
"""New containers between two looks for cycles; Python's own is 700. A cycle waits longer, and takes a few MB meanwhile."""


async def run_all(*work: Coroutine[Any, Any, None]) -> None:
    """Runs tasks until one raises or the caller is cancelled; then the others are cancelled, and waited for."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _cancel(tasks)
    for task in tasks:
        if not task.cancelled():
            await task


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancels tasks until they have ended; a cancellation of the caller takes effect afterwards."""
    cancelled = False
    while running := [each for each in tasks if not each.done()]:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def serve(service: Service) -> None:
    """Runs a service until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(telemetry.report_unretrieved)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # A start that was cut short or failed has answered nobody: the end of the process closes what it opened.
    if not await _unless(stopping, service.start()):
        return
    freeze_heap()
    try:
        await _unless(stopping, service.run())
    finally:
        await service.stop()


def freeze_heap() -> None:
    """Takes modules, classes and whatever else a start has made out of all later garbage collections, and makes those
    rarer: nearly all garbage of a call goes by reference count, and looking for cycles took a tenth of a small call."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Awaits `work`, but cancels it as soon as `stopping` is set; returns whether it came to its end."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    await _cancel([task])
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
    except Exception as error:
        log.critical("ended by an error", exc_info=error)
        sys.exit(1)
