"""Running several tasks as one: they end together, whatever the libraries under them do with a cancellation."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

CANCEL_AGAIN_SECONDS = 2.0
"""A library's `asyncio.wait_for` loses, before Python 3.12, a cancellation that arrives together with its result."""


async def run_all(*work: Coroutine[Any, Any, None]) -> None:
    """Runs tasks until one raises or the caller is cancelled; then the others are cancelled, and waited for."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await cancel_all(tasks)
    for task in tasks:
        if not task.cancelled():
            await task


async def cancel_all(tasks: Sequence["asyncio.Task[None]"]) -> None:
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
