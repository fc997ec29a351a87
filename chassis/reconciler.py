"""A service compares what it recorded with what the reader of its stream has settled, and publishes again what is
missing.

The outbox is read in windows, ranges of its ids, each once and once more an hour later. No clock decides what is
compared, and none says what should have been settled by now; these are known instead:

- A window is complete when every transaction has ended that was under way when its last id was there.
- What is missing in a reader's tables is in no message that is still to be read when the stream has let go of all that
  was on it after the window was published, or is another one of the same name.

What is missing then, and is in no dead letter, is a gap. It stands in table `gap` until the reader has it, and its
event is published again, behind what is new, a batch at a time. Where the reader does not answer nothing is known, and
nothing is done. What it has is remembered (`reconciliation`), so that a lost stream costs what was under way and not
what was settled; rows of the outbox are removed when it has them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile
from operator import attrgetter

import structlog
from google.protobuf.message import DecodeError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import telemetry
from chassis.comparison import Answer, Difference, Fact, compare, decode_answer, encode_question
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import within_budget
from chassis.relay import merge
from chassis.retention import Life
from chassis.stream import Extent, Message, Stream
from chassis.topology import StreamSpec, reconcile_subject

RECONCILE_SECONDS = 3.0
"""The pause between two rounds, of whichever processes: nothing of a lost stream waits for longer."""
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
"""A stream that has held messages for so long, because they fail and are tried again, or are done apart, keeps nothing
else from being compared: what they tell is not missing, and is asked for the second time."""
HELD_MESSAGES = 1_000
"""The most of them that are read for that: more than wait apart in two processes of the reader (`chassis.apart`)."""
HELD_BYTES = 16 * 1024**2
"""The most bytes that they have: by the names of the shortest facts, 70 MB of memory. With more of either nothing is
compared until enough of them are done, and it is tried again after HELD_SECONDS."""
MAX_OPEN_GAPS = 5_000
"""With so many open gaps no further ones are looked for until some are closed."""
BATCH_GAPS = 200
"""The most events that are published again before the stream has let go of those before: so many a new event may have
to wait behind."""
BATCHES_A_ROUND = 20
BATCH_SECONDS = 5.0
"""The longest wait for the stream to let go of a batch; what is left is for the next round."""
POLL_SECONDS = 0.1
RETRY_BASE_SECONDS = 5.0
"""An event that is missing again after it was published again comes once more after twice the pause each time, from
this one on, up to MAX_RETRY_SECONDS."""
MAX_RETRY_SECONDS = 3_600.0
NAMED_IN_LOG = 10
RETENTION = timedelta(days=7)
"""The time for which published rows are kept at least, so that what is lost can be published again."""
PURGE_SECONDS = 3_600.0
PURGE_BATCH = 5_000
CLOSED_GAP_DAYS = 30
"""How long a gap that is closed stays on record."""
GAPS = Life("gaps", ("gap",), "close_time < :before", CLOSED_GAP_DAYS)

log = structlog.get_logger(__name__)

# One round at a time in the deployment. A time in the future was written before the clock was set back.
_CLAIM = text("""
    INSERT INTO reconciliation (consumer, look_time) VALUES (:consumer, now())
    ON CONFLICT (consumer) DO UPDATE SET look_time = now()
    WHERE reconciliation.look_time NOT BETWEEN now() - make_interval(secs => :seconds) AND now()
    RETURNING settled_id, again_id
""")
_LAST_ID = text("SELECT coalesce(max(outbox_id), 0) FROM outbox")
_NEXT_TRANSACTION = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
_IS_COMPLETE = text("""
    SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) >= :transaction
        AND NOT EXISTS (SELECT FROM outbox WHERE publish_time IS NULL AND outbox_id <= :last_id)
""")
_ARE_PUBLISHED = text("SELECT NOT EXISTS (SELECT FROM outbox WHERE publish_time IS NULL AND outbox_id <= :last_id)")
_WINDOW = within_budget(
    f"""
    SELECT outbox_id, payload, create_time < now() - make_interval(secs => :old_seconds) AS is_old FROM outbox
    WHERE outbox_id > :after AND outbox_id <= :last_id AND publish_time IS NOT NULL
    ORDER BY outbox_id LIMIT {WINDOW_ROWS}
    """,
    "octet_length(payload)",
    "outbox_id",
)
# A gap that was closed and is found again is a new one.
_ADD_GAPS = text("""
    INSERT INTO gap (consumer, program_id, event_id, outbox_id)
    SELECT CAST(:consumer AS text), * FROM unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[]),
        CAST(:outbox_ids AS bigint[]))
    ON CONFLICT (consumer, program_id, event_id) DO UPDATE
    SET outbox_id = excluded.outbox_id, find_time = now(), attempts = 0, publish_time = NULL, set_aside = false,
        close_time = NULL
    WHERE gap.close_time IS NOT NULL
    RETURNING 1
""")
_ADVANCE = text("""
    UPDATE reconciliation SET settled_id = :last_id,
        again_id = CASE WHEN again_id = :after AND :are_old THEN :last_id ELSE again_id END
    WHERE consumer = :consumer AND settled_id = :after
""")
_ADVANCE_AGAIN = text("""
    UPDATE reconciliation SET again_id = :last_id WHERE consumer = :consumer AND again_id = :after
""")
_OPEN_GAPS = text("""
    SELECT program_id, event_id, set_aside FROM gap WHERE consumer = :consumer AND close_time IS NULL
    ORDER BY set_aside, outbox_id LIMIT :limit
""")
_NOTE_GAPS = """
    UPDATE gap SET {change} FROM unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[]))
        AS named (program_id, event_id)
    WHERE gap.consumer = :consumer AND gap.program_id = named.program_id AND gap.event_id = named.event_id
"""
_CLOSE = text(_NOTE_GAPS.format(change="close_time = now()"))
_SET_ASIDE = text(_NOTE_GAPS.format(change="set_aside = true"))
_TAKE_UP = text(_NOTE_GAPS.format(change="set_aside = false"))
_DUE = text("""
    UPDATE gap SET publish_time = now(), attempts = attempts + 1
    WHERE (consumer, program_id, event_id) IN (
        SELECT consumer, program_id, event_id FROM gap
        WHERE consumer = :consumer AND close_time IS NULL AND NOT set_aside
            AND (publish_time IS NULL OR publish_time NOT BETWEEN now() - make_interval(
                secs => least(:most_seconds, :base_seconds * 2.0 ^ least(attempts - 1, 20))) AND now())
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING outbox_id, event_id
""")
_ROW = text("SELECT subject, message_type, payload FROM outbox WHERE outbox_id = :outbox_id")
_STANDING = text("""
    SELECT (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND NOT set_aside) AS open,
        (SELECT count(*) FROM gap WHERE consumer = :consumer AND close_time IS NULL AND set_aside) AS set_aside,
        (SELECT extract(epoch FROM now() - create_time) FROM outbox WHERE outbox_id > coalesce(
            (SELECT settled_id FROM reconciliation WHERE consumer = :consumer), 0)
         ORDER BY outbox_id LIMIT 1) AS seconds
""")
_PURGE = text("""
    DELETE FROM outbox WHERE outbox_id IN (
        SELECT outbox_id FROM outbox WHERE publish_time < now() - make_interval(secs => :seconds)
            AND outbox_id <= (SELECT min(settled_id) FROM reconciliation)
            AND NOT EXISTS (SELECT FROM gap WHERE gap.outbox_id = outbox.outbox_id AND close_time IS NULL)
        ORDER BY outbox_id LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True)
class Batches:
    """How the messages of a stream are read: each is a batch of events, in which a fact is told."""

    facts: Callable[[bytes], list[Fact]]
    """The facts that a message tells."""
    only: Callable[[bytes, Collection[str]], bytes]
    """The message with those of its events that have one of the ids."""


@dataclass(slots=True)
class _Head:
    """How far the outbox is compared next."""

    last_id: int
    transaction: int
    """When every transaction before this one has ended, no row up to `last_id` comes any more."""
    extent: Extent | None = None
    """The stream when all of these rows had been published."""
    held_from: float = 0.0
    """When the stream was that, by the event loop's clock."""


@dataclass
class Reconciler:
    """Compares the outbox of a service with one reader of its stream. Any number may run; they take turns."""

    database: Database
    stream: Stream
    spec: StreamSpec
    """The stream that the service publishes on."""
    consumer: str
    """The reader."""
    batches: Batches
    pause_seconds: float = RECONCILE_SECONDS
    again_after: timedelta = AGAIN_AFTER
    batch_seconds: float = BATCH_SECONDS
    held_seconds: float = HELD_SECONDS

    _head: _Head | None = field(default=None, init=False)
    _republished: Extent | None = field(default=None, init=False)
    """The part of the stream with the last batch that was published again."""

    async def run(self) -> None:
        """Compares until cancelled."""
        next_purge = 0.0
        while True:
            try:
                await self.reconcile()
                if (now := asyncio.get_running_loop().time()) >= next_purge:
                    while await self.purge() == PURGE_BATCH:
                        pass
                    next_purge = now + PURGE_SECONDS
            except Exception as error:
                log.warning("cannot compare with what was settled, will retry", consumer=self.consumer, error=error)
            await asyncio.sleep(self.pause_seconds)

    async def reconcile(self) -> None:
        """Compares what is new, and some of what is old; publishes again what is missing, and notes what is not missing
        any more. Does nothing but measure where another process did so a moment ago."""
        async with self.database.transaction() as conn:
            claim = {"consumer": self.consumer, "seconds": self.pause_seconds / 2}
            claimed = (await conn.execute(_CLAIM, claim)).one_or_none()
        if claimed is not None:
            open_gaps = await self._settle_gaps()
            if open_gaps is not None and open_gaps < MAX_OPEN_GAPS:
                await self._compare_new(claimed.settled_id)
                await self._compare_again(claimed.again_id, claimed.settled_id)
            await self._republish()
        await self._measure()

    async def purge(self) -> int:
        """Removes some of the rows that the reader has for long enough; returns how many."""
        async with self.database.transaction() as conn:
            purged = await conn.execute(_PURGE, {"seconds": RETENTION.total_seconds(), "limit": PURGE_BATCH})
        return purged.rowcount

    async def _compare_new(self, settled_id: int) -> None:
        head = self._head = self._head or await self._next_head()
        if head.extent is None and await self._is_complete(head):
            head.extent = await self.stream.extent(self.spec)
            head.held_from = asyncio.get_running_loop().time()
        if head.extent is None:
            return
        held: set[Fact] = set()
        if not (await self.stream.extent(self.spec)).is_past(head.extent):
            if asyncio.get_running_loop().time() - head.held_from < self.held_seconds:
                return
            told = await self._told(head.extent)
            if told is None:
                head.held_from = asyncio.get_running_loop().time()
                return
            held = told
        if await self._compare_windows(settled_id, head.last_id, self._advance, held=held):
            self._head = None

    async def _told(self, extent: Extent) -> set[Fact] | None:
        """The facts in the messages that are still on the stream; one that cannot be read tells none. None where there
        are too many to be read."""
        told: set[Fact] = set()
        messages = size = 0
        async for payload in self.stream.held(self.spec, extent):
            messages += 1
            size += len(payload)
            if messages > HELD_MESSAGES or size > HELD_BYTES:
                return None
            try:
                told.update(self.batches.facts(payload))
            except DecodeError:
                continue
        return told

    async def _compare_again(self, again_id: int, settled_id: int) -> None:
        await self._compare_windows(again_id, settled_id, self._advance_again, is_again=True)

    async def _next_head(self) -> _Head:
        """The rows up to the last one. Whoever may still commit one before it has begun to write by now."""
        async with self.database.transaction() as conn:
            last_id: int = (await conn.execute(_LAST_ID)).scalar_one()
            return _Head(last_id, (await conn.execute(_NEXT_TRANSACTION)).scalar_one())

    async def _is_complete(self, head: _Head) -> bool:
        limits = {"transaction": head.transaction, "last_id": head.last_id}
        async with self.database.transaction() as conn:
            complete: bool = (await conn.execute(_IS_COMPLETE, limits)).scalar_one()
        return complete

    async def _compare_windows(
        self,
        after: int,
        last_id: int,
        advance: Callable[[AsyncConnection, int, int, bool], Awaitable[None]],
        *,
        is_again: bool = False,
        held: Collection[Fact] = (),
    ) -> bool:
        """Compares rows, window by window; says whether it came to the end of them."""
        loop = asyncio.get_running_loop()
        for _ in range(WINDOWS_A_ROUND):
            if after >= last_id:
                return True
            began = loop.time()
            async with self.database.transaction() as conn:
                limits = {"after": after, "last_id": last_id, "old_seconds": self.again_after.total_seconds()}
                rows = (await conn.execute(_WINDOW, limits)).all()
            are_old = bool(rows) and all(row.is_old for row in rows)
            if is_again:
                rows = list(takewhile(attrgetter("is_old"), rows))
                if not rows:
                    return True
            outbox_ids: dict[Fact, int] = {}
            for row in rows:
                outbox_ids |= dict.fromkeys(self.batches.facts(bytes(row.payload)), row.outbox_id)
                await asyncio.sleep(0)  # a row has up to a thousand facts: others have their turn
            difference = await self._ask(list(outbox_ids))
            if difference is not None and difference.missing and is_again:
                difference = await self._ask_once_read(difference)
            if difference is None:
                return False
            difference.missing = [each for each in difference.missing if each not in held]
            end = rows[-1].outbox_id if rows else last_id
            found = await self._note(difference, outbox_ids, after, end, are_old, advance)
            self._tell(difference, len(outbox_ids), found)
            if found >= MAX_OPEN_GAPS:
                return False
            after = end
            await asyncio.sleep(PAUSE_RATIO * (loop.time() - began))
        return after >= last_id

    async def _ask(self, facts: Sequence[Fact]) -> Difference | None:
        """Asks what the reader has not settled; None if it does not say."""

        async def ask(part: Sequence[Fact]) -> Answer | None:
            told = await self.stream.ask(reconcile_subject(self.consumer), encode_question(part))
            return None if told is None else decode_answer(told)

        difference = await compare(ask, facts)
        telemetry.RECONCILE_ANSWERED.labels(self.consumer).set(difference is not None)
        return difference

    async def _ask_once_read(self, difference: Difference) -> Difference | None:
        """Asks once more for what is missing, after the reader has read what is on the stream: a dead letter that was
        put back may be there. None where that takes too long."""
        if not await self._has_let_go(await self.stream.extent(self.spec)):
            return None
        again = await self._ask(difference.missing)
        if again is not None:
            again.set_aside += difference.set_aside
        return again

    async def _note(
        self,
        difference: Difference,
        outbox_ids: dict[Fact, int],
        after: int,
        end: int,
        are_old: bool,
        advance: Callable[[AsyncConnection, int, int, bool], Awaitable[None]],
    ) -> int:
        """Writes down what is missing in a window, and that it was compared; returns how many gaps are new."""
        async with self.database.transaction() as conn:
            found = 0
            if difference.missing:
                gaps = self._named(difference.missing) | {
                    "outbox_ids": [outbox_ids[each] for each in difference.missing]
                }
                found = len((await conn.execute(_ADD_GAPS, gaps)).all())
            await advance(conn, after, end, are_old)
        return found

    async def _advance(self, conn: AsyncConnection, after: int, end: int, are_old: bool) -> None:
        limits = {"consumer": self.consumer, "after": after, "last_id": end, "are_old": are_old}
        await conn.execute(_ADVANCE, limits)

    async def _advance_again(self, conn: AsyncConnection, after: int, end: int, _: bool) -> None:
        await conn.execute(_ADVANCE_AGAIN, {"consumer": self.consumer, "after": after, "last_id": end})

    def _tell(self, difference: Difference, compared: int, found: int) -> None:
        telemetry.RECONCILED_FACTS.labels(self.consumer).inc(compared)
        telemetry.RECONCILE_GAPS_FOUND.labels(self.consumer).inc(found)
        if found:
            log.error(
                "recorded and not settled, publishing again",
                consumer=self.consumer,
                events=found,
                first=[each.event_id for each in difference.missing[:NAMED_IN_LOG]],
            )

    async def _settle_gaps(self) -> int | None:
        """Closes the gaps of which the reader has the fact by now; returns how many are missing, None if it does
        not say."""
        async with self.database.transaction() as conn:
            rows = (await conn.execute(_OPEN_GAPS, {"consumer": self.consumer, "limit": MAX_OPEN_GAPS})).all()
        gaps = {Fact(row.program_id, row.event_id): row.set_aside for row in rows}
        if not gaps:
            return 0
        difference = await self._ask(list(gaps))
        if difference is None:
            return None
        missing, aside = set(difference.missing), set(difference.set_aside)
        closed = gaps.keys() - missing - aside
        async with self.database.transaction() as conn:
            await conn.execute(_CLOSE, self._named(closed))
            await conn.execute(_SET_ASIDE, self._named(each for each in aside if not gaps[each]))
            await conn.execute(_TAKE_UP, self._named(each for each in missing if gaps[each]))
        if closed:
            telemetry.RECONCILE_GAPS_CLOSED.labels(self.consumer).inc(len(closed))
            log.info("settled after it was published again", consumer=self.consumer, events=len(closed))
        return len(missing)

    async def _republish(self) -> None:
        """Publishes events of open gaps again: behind what was recorded before this round, and each batch when the
        stream has let go of the one before."""
        async with self.database.transaction() as conn:
            last_id = (await conn.execute(_LAST_ID)).scalar_one()
        if self._republished and not await self.stream.has_let_go(self.spec, self._republished):
            return
        for _ in range(BATCHES_A_ROUND):
            async with self.database.transaction() as conn:
                if not (await conn.execute(_ARE_PUBLISHED, {"last_id": last_id})).scalar_one():
                    return
                limits = {"base_seconds": RETRY_BASE_SECONDS, "most_seconds": MAX_RETRY_SECONDS, "limit": BATCH_GAPS}
                due = (await conn.execute(_DUE, {"consumer": self.consumer, **limits})).all()
            if not due:
                return
            by_row: dict[int, set[str]] = {}
            for row in sorted(due):
                by_row.setdefault(row.outbox_id, set()).add(row.event_id)
            before = await self.stream.extent(self.spec)
            await self.stream.publish_all(merge(await self._messages(by_row)))
            self._republished = (await self.stream.extent(self.spec)).since(before)
            if len(due) < BATCH_GAPS or not await self._has_let_go(self._republished):
                return

    async def _messages(self, by_row: dict[int, set[str]]) -> list[Message]:
        """Messages with the named events of rows, under names of their own: the broker would take those of before for
        repetitions."""
        messages = []
        for outbox_id, event_ids in by_row.items():
            async with self.database.transaction() as conn:
                row = (await conn.execute(_ROW, {"outbox_id": outbox_id})).one_or_none()
            if row is None:
                log.error("no longer kept, cannot be published again", consumer=self.consumer, events=sorted(event_ids))
                continue
            payload = self.batches.only(bytes(row.payload), event_ids)
            messages.append(Message(row.subject, new_id().hex, row.message_type, payload))
        return messages

    async def _has_let_go(self, part: Extent) -> bool:
        """Waits for the stream to have let go of a part of it; says whether it has."""
        ends = asyncio.get_running_loop().time() + self.batch_seconds
        while not await self.stream.has_let_go(self.spec, part):
            if asyncio.get_running_loop().time() > ends:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _measure(self) -> None:
        async with self.database.transaction() as conn:
            standing = (await conn.execute(_STANDING, {"consumer": self.consumer})).one()
        telemetry.RECONCILE_OPEN_GAPS.labels(self.consumer).set(standing.open)
        telemetry.RECONCILE_SET_ASIDE.labels(self.consumer).set(standing.set_aside)
        telemetry.RECONCILE_LAG.labels(self.consumer).set(max(0.0, float(standing.seconds or 0)))

    def _named(self, facts: Iterable[Fact]) -> dict[str, object]:
        named = list(facts)
        return {
            "consumer": self.consumer,
            "program_ids": [each.program_id for each in named],
            "event_ids": [each.event_id for each in named],
        }
