"""The process of a service: runs its lifecycle until told to stop, and says in words why it cannot."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError

from chassis import telemetry
from chassis.file_clock import clock_for
from chassis.heap import freeze_heap
from chassis.pacing import SWITCH_SECONDS
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.tasks import cancel_all

log = structlog.get_logger(__name__)


def main(service: type[Service[Any]]) -> None:
    """Runs a service as the whole process."""

    async def whole() -> None:
        settings = ServiceSettings()
        await serve(service(settings, clock_for(settings, service.name)))

    sys.setswitchinterval(SWITCH_SECONDS)
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


async def serve(service: Service[Any]) -> None:
    """Runs a service until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(telemetry.report_unretrieved)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # A start that was cut short or failed has answered nobody: the end of the process closes what it opened.
    if not await _ended_before(stopping, service.start()):
        return
    freeze_heap()
    try:
        await _ended_before(stopping, service.run())
    finally:
        try:
            await service.leave()
        finally:
            await service.stop()


async def _ended_before(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Awaits `work`, but cancels it as soon as `stopping` is set; returns whether it came to its end."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    await cancel_all([task])
    if task.cancelled():
        return False
    await task
    return True
