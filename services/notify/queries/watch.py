"""Live inboxes. One search of the database serves every watch of the process.

All watches of a process share one position: a snapshot of the database. Woken by an announcement that names a watched
inbox, or after some seconds by itself, the process takes the next snapshot and hands each watch what is visible in it
and was not before. A watch begins at a snapshot, reads what came earlier as of that snapshot if it resumes, and then
gets what comes later: nothing is missed, however late it commits, and nothing comes twice.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from chassis.database import Database
from chassis.errors import UplineError, resource_exhausted, unavailable
from services.notify.domain.inbox import Entry, Inbox
from services.notify.events import announced
from services.notify.store.snapshots import Resumption, fresh_entries, snapshot

FALLBACK_SECONDS = 3.0
"""The longest time between two searches: an announcement can be lost with a connection. A search that finds nothing is
one index look-up for all watches."""
SHORTEST_PAUSE_SECONDS = 0.01
PAUSE_RATIO = 3.0
"""The pause after a search, as a multiple of the time that it took: however many watch, searching takes a quarter of
one connection."""
LONGEST_PAUSE_SECONDS = 0.5
"""The longest pause: a search that was held up once must not hold up the next one three times as long."""
RETRY_SECONDS = 1.0
MAX_WAITING_ENTRIES = 10_000
"""The most entries that wait for one watch. A caller who reads more slowly is sent away, to resume when they can."""
MAX_FRESH_ENTRIES = 100_000
"""The most entries of one search, over all watches; only an outage lets so many come together."""
RESUME_PAGE = 500
MAX_INBOX_WATCHES = 20
"""The most watches of one inbox in a process: a person's devices and windows. Whoever opens more has forgotten to end
those of before, and takes the room of everybody else."""
ROOM_SECONDS = 5.0
"""The time after which a caller who found no room may ask again."""

log = structlog.get_logger(__name__)


class Watch:
    """One caller's view of one inbox; no entry is in it twice."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.snapshot = ""
        """The snapshot at which it begins; empty until it has begun."""
        self._waiting: list[Entry] = []
        self._changed = asyncio.Event()
        self._failure: UplineError | None = None

    def begin(self, now: str) -> None:
        """Begins at a snapshot."""
        self.snapshot = now
        self._changed.set()

    def put(self, entry: Entry) -> None:
        """Hands an entry over, or gives the watch up if its caller is too slow."""
        if len(self._waiting) >= MAX_WAITING_ENTRIES:
            self.fail(
                unavailable("WATCH_TOO_SLOW", "entries come faster than they are read; resume after the last one")
            )
            return
        self._waiting.append(entry)
        self._changed.set()

    def fail(self, error: UplineError) -> None:
        """Ends the watch. Entries that wait are not sent: the caller resumes after the last one they got."""
        self._failure = error
        self._waiting.clear()
        self._changed.set()

    async def begun(self) -> str:
        """Waits until the watch has begun; returns the snapshot at which it did."""
        while not self.snapshot:
            await self._change()
        return self.snapshot

    async def live(self) -> AsyncIterator[list[Entry]]:
        """Yields portions of the entries since the beginning, until the caller leaves. Raises the error that ended the
        watch."""
        while True:
            while not self._waiting:
                await self._change()
            portion, self._waiting = self._waiting, []
            yield portion

    async def _change(self) -> None:
        if self._failure is None:
            await self._changed.wait()
        self._changed.clear()
        if self._failure is not None:
            raise self._failure


class Watches:
    """Every watch of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watches: dict[Inbox, set[Watch]] = {}
        self._digests: dict[bytes, int] = {}
        self._wake = asyncio.Event()
        self._snapshot = ""
        self._closed = False

    @property
    def count(self) -> int:
        """The number of watches."""
        return sum(len(each) for each in self._watches.values())

    @contextmanager
    def watch(self, inbox: Inbox) -> Iterator[Watch]:
        """A watch that ends with the block. UNAVAILABLE if the process is about to stop, RESOURCE_EXHAUSTED if the
        inbox has too many."""
        if self._closed:
            raise _stopping_error()
        if len(self._watches.get(inbox, ())) >= MAX_INBOX_WATCHES:
            raise resource_exhausted(
                "TOO_MANY_WATCHES_OF_INBOX",
                f"{MAX_INBOX_WATCHES} calls watch this inbox here already; end those that nobody reads",
                ROOM_SECONDS,
            )
        watch = Watch(inbox)
        digest = inbox.digest()
        self._watches.setdefault(inbox, set()).add(watch)
        self._digests[digest] = self._digests.get(digest, 0) + 1
        self._wake.set()
        try:
            yield watch
        finally:
            self._watches[inbox].discard(watch)
            if not self._watches[inbox]:
                del self._watches[inbox]
            self._digests[digest] -= 1
            if not self._digests[digest]:
                del self._digests[digest]

    async def earlier(self, watch: Watch, after: UUID) -> AsyncIterator[list[Entry]]:
        """Yields portions of the entries that came after an entry and before the watch began, oldest first."""
        resumption = Resumption(watch.inbox, after, await watch.begun())
        while True:
            async with self._database.transaction() as conn:
                page = await resumption.page(conn, RESUME_PAGE)
            if not page:
                return
            yield page

    async def on_announcement(self, payload: bytes) -> None:
        """Searches soon, if the announcement names an inbox that is watched here."""
        if self._digests and not self._digests.keys().isdisjoint(announced(payload)):
            self._wake.set()

    async def run(self) -> None:
        """Serves the watches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._woken()
            began = loop.time()
            try:
                await self.hand_out_fresh_entries()
            except Exception as error:
                log.warning("cannot search for new entries, will retry", error=error)
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)
            pause = PAUSE_RATIO * (loop.time() - began)
            await asyncio.sleep(min(max(SHORTEST_PAUSE_SECONDS, pause), LONGEST_PAUSE_SECONDS))

    def close(self) -> None:
        """Ends every watch, so that callers go on with another replica, and lets none begin."""
        self._closed = True
        for watch in self._all():
            watch.fail(_stopping_error())

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(FALLBACK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def hand_out_fresh_entries(self) -> None:
        """Gives every watch the entries of its inbox that became visible since the last time."""
        watches = self._all()  # those that come while the database answers begin with the next look
        if not watches:
            return
        begun = {watch for watch in watches if watch.snapshot}
        fresh: list[Entry] = []
        async with self._database.transaction() as conn:
            now = await snapshot(conn)
            if begun:
                inboxes = list({watch.inbox for watch in begun})
                fresh = await fresh_entries(conn, self._snapshot, now, inboxes, MAX_FRESH_ENTRIES)
        self._snapshot = now
        if len(fresh) == MAX_FRESH_ENTRIES:
            for watch in begun:
                watch.fail(unavailable("WATCH_TOO_SLOW", "too much was written meanwhile; resume after the last entry"))
        else:
            for entry in fresh:
                for watch in self._watches.get(entry.inbox, set()) & begun:
                    watch.put(entry)
        for watch in watches:
            if watch not in begun:
                watch.begin(now)


def _stopping_error() -> UplineError:
    return unavailable("STOPPING", "this server stops; watch again, and another one answers")
