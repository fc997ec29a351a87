"""The outbox is compared with what a reader has settled in windows, ranges of its ids, each once and once more an hour
later. No clock decides what is compared, and none says what should have been settled by now; these are known instead:

- A window is complete when every transaction has ended that was under way when its last id was there.
- What is missing in a reader's tables is in no message that is still to be read when the stream has let go of all that
  was on it after the window was published, or is another one of the same name.

What is missing then, and is in no dead letter, is a gap (`chassis.gaps`). Where the reader does not answer nothing is
known, and nothing is done. How far it has what was recorded is remembered in table `reconciliation`, so that a lost
stream costs what was under way and not what was settled.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple

import structlog
from google.protobuf.message import DecodeError
from sqlalchemy import text

from chassis import outbox, telemetry
from chassis.asking import AskedReader
from chassis.comparison import Difference, Fact
from chassis.database import Database
from chassis.gaps import MAX_OPEN_GAPS, Gaps
from chassis.pages import within_budget
from chassis.stream import Extent

WINDOW_ROWS = 1_000
"""The most rows of a window; it ends before if they have more bytes than an answer may."""
WINDOWS_A_ROUND = 50
"""The most windows of a round; the next one goes on where it ended."""
PAUSE_RATIO = 1.0
"""The pause after a window, as a multiple of the time that it took: an outbox of seven days that is compared for the
first time keeps a process busy half of the time at most."""
AGAIN_AFTER = timedelta(hours=1)
"""How old rows are when they are compared for the second time. By then a database that came back without its last
commits, as after a failover, is found to lack what it had said that it has."""
HELD_SECONDS = 30.0
"""A stream that has held messages for so long, because they fail and are tried again, keeps nothing else from
being compared: what they tell is passed over. It is asked for the second time, or as soon as the stream is lost, and
these messages with it."""
HELD_MESSAGES = 1_000
"""The most of them that are read for that: so many messages that fail at once have one cause, and a person is called
for it."""
HELD_BYTES = 16 * 1024**2
"""The most bytes that they have: by the names of the shortest facts, 70 MB of memory. With more of either nothing is
compared until enough of them are done, and it is tried again after HELD_SECONDS."""
NAMED_IN_LOG = 10

log = structlog.get_logger(__name__)

# What is for another stream is passed over row by row, so that it is done with as soon as what stands around it.
_WINDOW = within_budget(
    f"""
    SELECT outbox_id, CASE WHEN subject = :subject THEN payload END AS payload,
        create_time < now() - make_interval(secs => :old_seconds) AS is_old
    FROM outbox WHERE outbox_id > :after AND outbox_id <= :last_id
        AND (publish_time IS NOT NULL OR subject <> :subject)
    ORDER BY outbox_id LIMIT {WINDOW_ROWS}
    """,
    "coalesce(octet_length(payload), 0)",
    "outbox_id",
)
# What was passed over as held was not compared, however old it is. Of what was passed over the place before the first
# row is kept that was not compared a second time, and with it the stream that held it.
_ADVANCE = text("""
    UPDATE reconciliation SET settled_id = :last_id,
        again_id = CASE WHEN again_id = :after AND :are_old AND CAST(:held_after AS bigint) IS NULL
            THEN :last_id ELSE again_id END,
        held_after = CASE WHEN held_after >= again_id THEN held_after ELSE coalesce(:held_after, held_after) END,
        held_made = CASE WHEN held_after >= again_id THEN held_made ELSE coalesce(:held_made, held_made) END
    WHERE consumer = :consumer AND settled_id = :after
""")
_ADVANCE_AGAIN = text("""
    UPDATE reconciliation SET again_id = :last_id WHERE consumer = :consumer AND again_id = :after
""")
_NOTHING_HELD = {"held_after": None, "held_made": None}
_GO_BACK = text("""
    UPDATE reconciliation SET settled_id = least(settled_id, greatest(again_id, held_after)), held_after = NULL,
        held_made = NULL
    WHERE consumer = :consumer AND held_after = :held_after
    RETURNING settled_id
""")


class Compared(NamedTuple):
    """How far an outbox was compared with a reader."""

    settled_id: int
    """Up to this row."""
    again_id: int
    """Up to this one a second time."""
    held_after: int | None
    """The row before the first one of which a fact was passed over, because the stream held it; None where none was."""
    held_made: datetime | None
    """When that stream was made."""


@dataclass(slots=True)
class _Head:
    """How far the outbox is compared next."""

    rows: outbox.Head
    extent: Extent | None = None
    """The stream when all of these rows had been published."""
    held_from: float = 0.0
    """When the stream was that, by the event loop's clock."""


@dataclass
class Windows:
    """The windows in which an outbox is compared with one reader."""

    database: Database
    reader: AskedReader
    gaps: Gaps
    """Where what is missing is written down."""
    again_after: timedelta = AGAIN_AFTER
    held_seconds: float = HELD_SECONDS

    _head: _Head | None = field(default=None, init=False)

    async def compare_new(self, compared: Compared) -> None:
        """Compares what was recorded since, if the stream has let go of it, and what a stream held that was lost."""
        settled_id = compared.settled_id
        if compared.held_after is not None and (await self.reader.extent()).made != compared.held_made:
            settled_id = await self._go_back(compared.held_after)
        head = self._head = self._head or await self._next_head()
        if head.extent is None and await self._is_complete(head):
            head.extent = await self.reader.extent()
            head.held_from = asyncio.get_running_loop().time()
        if head.extent is None:
            return
        held: set[Fact] = set()
        if not (await self.reader.extent()).is_past(head.extent):
            if asyncio.get_running_loop().time() - head.held_from < self.held_seconds:
                return
            told = await self._told(head.extent)
            if told is None:
                head.held_from = asyncio.get_running_loop().time()
                return
            held = told
        if await self._compare(settled_id, head.rows.last_id, held=held, made=head.extent.made):
            self._head = None

    async def compare_again(self, compared: Compared) -> None:
        """Compares once more what is old enough among the rows that were compared once."""
        await self._compare(compared.again_id, compared.settled_id, is_again=True)

    async def _go_back(self, held_after: int) -> int:
        """Has everything compared anew from the first row that was passed over; returns where that begins."""
        async with self.database.transaction() as conn:
            begins: int = (
                await conn.execute(_GO_BACK, {"consumer": self.reader.consumer, "held_after": held_after})
            ).scalar_one()
        return begins

    async def _next_head(self) -> _Head:
        async with self.database.transaction() as conn:
            return _Head(await outbox.next_head(conn))

    async def _is_complete(self, head: _Head) -> bool:
        """Whether all of its rows are there, and published."""
        subject = self.reader.spec.subject
        async with self.database.transaction() as conn:
            return await outbox.is_complete(conn, head.rows) and await outbox.are_published(
                conn, subject, head.rows.last_id
            )

    async def _told(self, extent: Extent) -> set[Fact] | None:
        """The facts in the messages that are still on the stream; one that cannot be read tells none. None where there
        are too many to be read."""
        told: set[Fact] = set()
        messages = size = 0
        async for payload in self.reader.stream.held(self.reader.spec, extent):
            messages += 1
            size += len(payload)
            if messages > HELD_MESSAGES or size > HELD_BYTES:
                return None
            try:
                told.update(self.reader.batches.facts(payload))
            except DecodeError:
                continue
        return told

    async def _compare(
        self,
        after: int,
        last_id: int,
        *,
        is_again: bool = False,
        held: Collection[Fact] = (),
        made: datetime | None = None,
    ) -> bool:
        """Compares rows, window by window; says whether it came to the end of them. What is missing and held by the
        stream that was made then is passed over."""
        loop = asyncio.get_running_loop()
        for _ in range(WINDOWS_A_ROUND):
            if after >= last_id:
                return True
            began = loop.time()
            async with self.database.transaction() as conn:
                limits = {"subject": self.reader.spec.subject, "after": after, "last_id": last_id}
                old_seconds = self.again_after.total_seconds()
                rows = (await conn.execute(_WINDOW, {**limits, "old_seconds": old_seconds})).all()
            are_old = bool(rows) and all(row.is_old for row in rows)
            if is_again:
                rows = list(takewhile(attrgetter("is_old"), rows))
                if not rows:
                    return True
            outbox_ids: dict[Fact, int] = {}
            for row in rows:
                if row.payload is None:
                    continue
                outbox_ids |= dict.fromkeys(self.reader.batches.facts(bytes(row.payload)), row.outbox_id)
                await asyncio.sleep(0)  # a row has up to a thousand facts: others have their turn
            difference = await self.reader.ask(list(outbox_ids))
            if difference is not None and difference.missing and is_again:
                difference = await self._ask_once_read(difference)
            if difference is None:
                return False
            missing = {each: outbox_ids[each] for each in difference.missing if each not in held}
            passed_over = [outbox_ids[each] for each in difference.missing if each in held]
            end = rows[-1].outbox_id if rows else last_id
            place = {"consumer": self.reader.consumer, "after": after, "last_id": end}
            async with self.database.transaction() as conn:
                found = await self.gaps.add(conn, missing)
                if is_again:
                    await conn.execute(_ADVANCE_AGAIN, place)
                else:
                    passed = {"held_after": min(passed_over) - 1, "held_made": made} if passed_over else _NOTHING_HELD
                    await conn.execute(_ADVANCE, {**place, "are_old": are_old, **passed})
            self._tell(list(missing), len(outbox_ids), found)
            if found >= MAX_OPEN_GAPS:
                return False
            after = end
            await asyncio.sleep(PAUSE_RATIO * (loop.time() - began))
        return after >= last_id

    async def _ask_once_read(self, difference: Difference) -> Difference | None:
        """Asks once more for what is missing, after the reader has read what is on the stream: a dead letter that was
        put back may be there. None where that takes too long."""
        if not await self.reader.wait_let_go(await self.reader.extent()):
            return None
        again = await self.reader.ask(difference.missing)
        if again is not None:
            again.set_aside += difference.set_aside
        return again

    def _tell(self, missing: list[Fact], compared: int, found: int) -> None:
        consumer = self.reader.consumer
        telemetry.RECONCILED_FACTS.labels(consumer).inc(compared)
        telemetry.RECONCILE_GAPS_FOUND.labels(consumer).inc(found)
        if found:
            log.error(
                "recorded and not settled, publishing again",
                consumer=consumer,
                events=found,
                first=[each.event_id for each in missing[:NAMED_IN_LOG]],
            )
