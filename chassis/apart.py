"""Messages whose work takes long: they wait here, and are handed out one at a time, beside all others."""

import asyncio
from collections import Counter
from collections.abc import Set

from nats.aio.msg import Msg

MAX_MESSAGES = 400
"""The most messages that wait in a process, of the 4,096 that all processes of a consumer may have in hand: nine of
them may be full, and there is still room for what is quick."""
MAX_BYTES = 64 * 1024**2
"""The most bytes that they have together. Beyond either, reading waits, and with it whatever comes behind: until then,
nobody else notices."""


class TakesLongError(Exception):
    """The work of a message takes long, so that it is to be done apart."""

    def __init__(self, *names: str) -> None:
        """`names`: whose work it is. Messages that have a name in common keep their order, names take turns."""
        super().__init__(f"{', '.join(map(repr, sorted(names)))}: takes long")
        self.names = frozenset(names)


class ApartQueue:
    """The messages that wait in one process, by the names of those whose work they are."""

    def __init__(self) -> None:
        self.messages: dict[int, Msg] = {}
        """All of them in their order, with the one that is handed out, until it is done."""
        self._names: dict[int, frozenset[str]] = {}
        self._waiting: dict[int, None] = {}
        """Those that are not handed out, in their order."""
        self._counts: Counter[str] = Counter()
        self._turns: dict[str, int] = {}
        """The number of the last turn of each name that still has messages."""
        self._turn = 0
        self._bytes = 0
        self._changed = asyncio.Condition()

    @property
    def names(self) -> Set[str]:
        """Whose work is still to be done: what comes of theirs meanwhile has to wait behind it."""
        return self._counts.keys()

    async def put(self, names: frozenset[str], message: Msg) -> None:
        """Has a message wait. Waits itself while there is no room."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            key = id(message)
            self.messages[key], self._names[key], self._waiting[key] = message, names, None
            self._counts.update(names)
            self._bytes += len(message.data)
            self._changed.notify_all()

    async def next(self) -> Msg:
        """The next message, as soon as there is one: none before an earlier one that has a name in common with it, and
        of all those the one whose names waited longest for a turn."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting)
            key = self._first()
            del self._waiting[key]
            self._turn += 1
            self._turns.update(dict.fromkeys(self._names[key], self._turn))
            return self.messages[key]

    async def done(self, message: Msg) -> None:
        """Makes room for another message: nothing more is to be done for this one."""
        async with self._changed:
            key = id(message)
            del self.messages[key]
            self._bytes -= len(message.data)
            for each in self._names.pop(key):
                self._counts[each] -= 1
                if not self._counts[each]:
                    del self._counts[each]
                    self._turns.pop(each, None)
            self._changed.notify_all()

    def _first(self) -> int:
        before: set[str] = set()
        found: list[tuple[int, int]] = []
        for key in self._waiting:
            names = self._names[key]
            if before.isdisjoint(names):
                found.append((max(self._turns.get(each, 0) for each in names), key))
            before |= names
        # Of equals the first that came; a key itself says nothing.
        return min(found, key=lambda each: each[0])[1]

    def _has_room(self) -> bool:
        return len(self.messages) < MAX_MESSAGES and self._bytes < MAX_BYTES
