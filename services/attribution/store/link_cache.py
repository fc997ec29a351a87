"""Links held in memory: every click names one, and looking each up would cost more than the click."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chassis.database import Database
from services.attribution.domain.links import LinkKey
from services.attribution.store.links import KnownLink, MissingLink, load_known_links

MAX_KNOWN = 100_000
"""The number of links held: they take about 100 MB if every link has the longest destination, 50 MB with usual ones."""
KNOWN_SECONDS = 30.0
"""The time for which a link is held. Links do not change, but the hosts that their program allows do."""
MAX_ABSENT = 10_000
ABSENT_SECONDS = 1.0
"""The time for which a missing link is held: short, for a program may be made a moment after the first click on it was
refused."""
LOADS_AT_ONCE = 2
"""The number of statements that look links up at once, as many as have a connection. Whatever is asked for meanwhile
goes into the next one, so that a flood of links that do not exist costs statements by their time and not by its size.
"""
MAX_LOADED = 2_000
"""The number of links at which a statement takes no more."""

Value = TypeVar("Value")


class LinkCache:
    """The links that one process has met lately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = _Shelf[KnownLink](MAX_KNOWN, KNOWN_SECONDS)
        self._absent = _Shelf[MissingLink](MAX_ABSENT, ABSENT_SECONDS)
        self._loading: dict[LinkKey, _Load] = {}
        self._next_keys: list[LinkKey] = []
        """The links that the next statement looks up; that of before is done with its list."""
        self._next: _Load | None = None
        self._turns = asyncio.Semaphore(LOADS_AT_ONCE)

    def peek(self, key: LinkKey) -> KnownLink | None:
        """The link, if it is here and fresh; costs no wait."""
        return self._known.get(key)

    async def find(self, keys: Collection[LinkKey]) -> dict[LinkKey, KnownLink | MissingLink]:
        """The links of the keys, or which part of them is missing. A caller who asks for a key that is being loaded
        already waits for that load."""
        found: dict[LinkKey, KnownLink | MissingLink] = {}
        unknown = []
        for key in keys:
            held = self._known.get(key) or self._absent.get(key)
            if held is not None:
                found[key] = held
            elif not _is_storable(key):
                found[key] = MissingLink.LINK
            elif key not in self._loading:
                unknown.append(key)
        if unknown:
            self._loading |= dict.fromkeys(unknown, self._join(unknown))
        for task in {self._loading[key] for key in keys if key not in found}:
            # Shielded, for a caller that gives up must not fail the others.
            loaded = await asyncio.shield(task)
            found |= {key: loaded[key] for key in keys if key in loaded}
        return found

    def _join(self, keys: list[LinkKey]) -> "_Load":
        """The load that looks the keys up."""
        if self._next is None or len(self._next_keys) >= MAX_LOADED:
            self._next_keys = []
            self._next = asyncio.create_task(self._load_in_turn(self._next_keys))
        self._next_keys += keys
        return self._next

    async def _load_in_turn(self, keys: list[LinkKey]) -> dict[LinkKey, KnownLink | MissingLink]:
        async with self._turns:
            if keys is self._next_keys:
                self._next = None
            return await self._load(keys)

    async def _load(self, keys: list[LinkKey]) -> dict[LinkKey, KnownLink | MissingLink]:
        try:
            async with self._database.transaction() as conn:
                loaded = await load_known_links(conn, keys)
        finally:
            for key in keys:
                del self._loading[key]
        for key, value in loaded.items():
            if isinstance(value, KnownLink):
                self._known.put(key, value)
            else:
                self._absent.put(key, value)
        return loaded


_Load = asyncio.Task[dict[LinkKey, KnownLink | MissingLink]]


def _is_storable(key: LinkKey) -> bool:
    """Whether PostgreSQL takes a key: one that it refuses would fail those that are looked up with it."""
    try:
        return b"\x00" not in "".join(key).encode()
    except UnicodeEncodeError:
        return False


@dataclass(slots=True)
class _Shelf(Generic[Value]):
    """A bounded map whose entries age; the one put in first leaves first."""

    capacity: int
    max_age_seconds: float
    _entries: dict[LinkKey, tuple[float, Value]] = field(default_factory=dict)

    def get(self, key: LinkKey) -> Value | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

    def put(self, key: LinkKey, value: Value) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (time.monotonic() + self.max_age_seconds, value)
        if len(self._entries) > self.capacity:
            del self._entries[next(iter(self._entries))]
