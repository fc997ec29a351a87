"""How a server leaves: calls in flight come to their end, and whoever is cut off is told UNAVAILABLE.

gRPC's own stop answers CANCELLED to calls that arrive in the moment in which it says goodbye, and to those that its
grace was too short for; no client repeats those. So the server leaves in steps of its own (`Server.leave`,
`Server.stop`), and gRPC is stopped when nobody is left to be cancelled: connections are closed beneath it, which
clients take for what it is, a server that went away.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from chassis.errors import UplineError, unavailable

HELD_SECONDS = 0.5
"""The time for which a call that comes to a server about to stop is held before it is refused: a caller that repeats it
at once would use up its tries before the connection is closed, which leads it to another server."""
ANSWERS_SECONDS = 0.05
"""Time for the last answers to leave before connections are closed."""
CUT_OFF_SECONDS = 2.0
"""Time for calls that are cut off to tell their callers. A commit under way is waited for, and may take longer."""
HANG_UP_SECONDS = 1.0
"""Time for gRPC to notice that its connections have ended, which it does at once."""
POLL_SECONDS = 0.01
FILES_OF_THIS_PROCESS = "/dev/fd"


class Calls:
    """The calls in flight of one server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cut_off: set[asyncio.Task[Any]] = set()
        self._refusing = False
        self._ended = asyncio.Event()
        """Set while no call is in flight."""
        self._ended.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call, from its beginning to its answer. Raises what its caller is to be told where it is cut off."""
        task = _this_task()
        self._tasks.add(task)
        self._ended.clear()
        try:
            yield
        except asyncio.CancelledError:
            if task in self._cut_off:
                raise stopping_error() from None
            raise
        finally:
            self._tasks.discard(task)
            self._cut_off.discard(task)
            if not self._tasks:
                self._ended.set()

    async def admit(self) -> None:
        """Returns at once; UNAVAILABLE, after a moment, once the server is about to stop."""
        if self._refusing:
            with suppress(TimeoutError):
                async with asyncio.timeout(HELD_SECONDS):
                    await self._ended.wait()
            raise stopping_error()

    async def end(self, seconds: float) -> None:
        """Lets no call begin. Returns when those in flight have ended; after so many seconds they are cut off."""
        self._refusing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        self._cut_off = set(self._tasks)
        for task in self._cut_off:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_OFF_SECONDS):
                await self._ended.wait()


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a call is handled outside of any task")
    return task


def stopping_error() -> UplineError:
    """The error for calls that a server that stops does not serve to the end."""
    return unavailable("STOPPING", "this server stops; the same call is safe to repeat, and another one answers")


def stop_listening(port: int) -> None:
    """Lets nobody connect to `port` of this process any more; connections that exist go on."""
    for each in _sockets(port):
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            each.shutdown(socket.SHUT_RDWR)


async def hang_up(port: int) -> None:
    """Ends the connections that were made to `port` of this process, as if the process were gone; what was answered
    arrives."""
    await asyncio.sleep(ANSWERS_SECONDS)
    tries = int(HANG_UP_SECONDS / POLL_SECONDS)
    while _end_connections(port) and tries:
        await asyncio.sleep(POLL_SECONDS)
        tries -= 1


def _end_connections(port: int) -> int:
    """Lets gRPC read nothing more from connections to `port`, upon which it closes them; returns how many are still
    open."""
    count = 0
    for each in _sockets(port):
        if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and _has_other_side(each):
            count += 1
            with suppress(OSError):  # the other side was faster
                each.shutdown(socket.SHUT_RD)
    return count


def _has_other_side(each: socket.socket) -> bool:
    try:
        each.getpeername()
    except OSError:
        return False
    return True


def _sockets(port: int) -> Iterator[socket.socket]:
    """Second handles on what gRPC has opened on `port`, one after the other; it lends nobody its own."""
    for name in os.listdir(FILES_OF_THIS_PROCESS):
        try:
            each = socket.socket(fileno=_second_handle(int(name)))
        except OSError:  # no socket, or closed since it was listed
            continue
        with each:
            if each.family in (socket.AF_INET, socket.AF_INET6) and each.getsockname()[1] == port:
                yield each


def _second_handle(descriptor: int) -> int:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise OSError(f"{descriptor} is no socket")
    return os.dup(descriptor)
