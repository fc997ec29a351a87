"""Messages whose work takes long: they wait here, and are handed out one at a time, beside all others."""

import asyncio
from collections import deque

from nats.aio.msg import Msg

MAX_MESSAGES = 1_000
"""The most messages that wait in a process, of the 4,096 that all processes of a consumer may have in hand."""
MAX_BYTES = 64 * 1024**2
"""The most bytes that they have together. Beyond either, reading waits, and with it whatever comes behind: until then,
nobody else notices."""


class TakesLongError(Exception):
    """The work of a message takes long, so that it is to be done apart."""

    def __init__(self, whose: str) -> None:
        """`whose`: messages of the same keep their order, those of others take turns with them."""
        super().__init__(f"{whose!r} takes long")
        self.whose = whose


class ApartQueue:
    """The messages that wait in one process, by whose they are."""

    def __init__(self) -> None:
        self.messages: dict[int, Msg] = {}
        """All of them in their order, with the one that is handed out, until it is done."""
        self._waiting: dict[str, deque[Msg]] = {}
        self._bytes = 0
        self._changed = asyncio.Condition()

    async def put(self, whose: str, message: Msg) -> None:
        """Has a message wait. Waits itself while there is no room."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self.messages[id(message)] = message
            self._bytes += len(message.data)
            self._waiting.setdefault(whose, deque()).append(message)
            self._changed.notify_all()

    async def next(self) -> Msg:
        """The next message, as soon as there is one: in turn of those whose they are."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting)
            whose, messages = next(iter(self._waiting.items()))
            message = messages.popleft()
            del self._waiting[whose]
            if messages:
                self._waiting[whose] = messages  # behind those of all others
            return message

    async def done(self, message: Msg) -> None:
        """Makes room for another message: nothing more is to be done for this one."""
        async with self._changed:
            del self.messages[id(message)]
            self._bytes -= len(message.data)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self.messages) < MAX_MESSAGES and self._bytes < MAX_BYTES
