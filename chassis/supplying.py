"""A derived reader keeps what can be told again: a feed, a report, a segment. It may be away for as long as it likes,
or be new, and nothing that others need may wait for it.

So it reads no stream of others. It has one of its own (`chassis.topology.supply_stream`), and the owner of the facts
supplies it from its outbox, a bounded number of messages ahead: what does not fit waits in the tables, where it is
anyway. A reader that falls behind is marked so, and goes on where it was. One that is new, or was away for so long that
rows of the outbox were removed of which it knows nothing, is first told what the owner's tables hold (its history), and
then the outbox from the rows on that were there when that began. What is told twice has the same event ids.

A place in the outbox is passed when every transaction has ended that could still commit a row before it, so nothing
slips in behind; and the reader has what was sent up to it when nothing is left on its stream of what was there then.
From such a position it goes on when its stream is lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.database import Database
from chassis.ids import new_id
from chassis.pages import within_budget
from chassis.relay import merge
from chassis.stream import Extent, Message, Stream
from chassis.topology import SUPPLY_MESSAGES, StreamSpec

ROUND_ROWS = 1_000
"""The most rows of the outbox that are sent at once; fewer, if they have more bytes than an answer may."""
PAUSE_SECONDS = 0.5
"""The pause when there is nothing to send: a derived reader hears of a fact within a second or two."""

log = structlog.get_logger(__name__)

# What is for another stream is passed over row by row.
_ROWS = within_budget(
    f"""
    SELECT outbox_id, message_id, message_type, CASE WHEN subject = :subject THEN payload END AS payload
    FROM outbox WHERE outbox_id > :after AND outbox_id <= :last_id
    ORDER BY outbox_id LIMIT {ROUND_ROWS}
    """,
    "coalesce(octet_length(payload), 0)",
    "outbox_id",
)
_LOOK = """
    SELECT behind_since IS NOT NULL, history_cursor, sent_id, read_id, mark_id, mark_number, stream_made
    FROM supply WHERE consumer = :consumer
"""
_TAKE = text(f"{_LOOK} FOR UPDATE SKIP LOCKED")
_LOOK_UP = text(_LOOK)
_BEGIN = text("""
    INSERT INTO supply (consumer, history_cursor, sent_id, stream_made)
    VALUES (:consumer, '', :sent_id, :stream_made) ON CONFLICT (consumer) DO NOTHING
""")
_KEEP = text("""
    UPDATE supply SET history_cursor = :history_cursor, sent_id = :sent_id, read_id = :read_id, mark_id = :mark_id,
        mark_number = :mark_number, stream_made = :stream_made,
        behind_since = CASE WHEN :is_behind THEN coalesce(behind_since, now()) END
    WHERE consumer = :consumer
""")


class Told(NamedTuple):
    """A part of what an owner's tables hold, as messages."""

    messages: Sequence[Message]
    """They go to the reader's own stream, and under names of their own: the broker would take what was told a moment
    ago, and has changed since, for a repetition."""
    cursor: str | None
    """Where the next part begins; None where this one is the last."""


TellHistory = Callable[[AsyncConnection, str], Awaitable[Told]]
"""Tells a part of what the tables hold, from a cursor on that it gave itself, or from an empty one. A fact has the
event id by which the outbox told it, and what changed since is told as it is now."""


@dataclass(frozen=True, slots=True)
class SupplyPosition:
    """How far a reader was supplied."""

    history_cursor: str | None
    """Where its history goes on; None when all of it was sent."""
    sent_id: int
    """The row of the outbox up to which it was sent. While the history is sent: behind which the outbox goes on."""
    read_id: int | None
    """The row up to which the reader has everything; None where it may lack some of its history."""
    mark_id: int | None
    """The row up to which the reader has everything when nothing is left on its stream up to `mark_number`."""
    mark_number: int | None
    stream_made: datetime
    """When the stream was made on which it was sent."""

    def is_at_rest(self, complete_id: int) -> bool:
        """Whether the reader has all rows up to that one, and everything before."""
        return self.history_cursor is None and self.read_id == self.sent_id >= complete_id

    def seen(self, extent: Extent) -> "SupplyPosition":
        """The position as it is known once the stream has been looked at."""
        if self.stream_made != extent.made:
            fresh = replace(self, mark_id=None, mark_number=None, stream_made=extent.made)
            if self.read_id is None:
                return replace(fresh, history_cursor="")
            return replace(fresh, sent_id=self.read_id)
        position = self
        if position.mark_number is not None and extent.first > position.mark_number:
            position = replace(position, read_id=position.mark_id, mark_id=None, mark_number=None)
        if position.mark_number is None and position.history_cursor is None and position.read_id != position.sent_id:
            position = replace(position, mark_id=position.sent_id, mark_number=extent.last)
        return position


@dataclass
class Supplier:
    """Supplies one derived reader. Any number may run: one at a time has its row."""

    database: Database
    stream: Stream
    source: StreamSpec
    """The stream that the service publishes on."""
    supply: StreamSpec
    """The reader's own."""
    history: TellHistory
    pause_seconds: float = PAUSE_SECONDS

    _head: outbox.Head | None = field(default=None, init=False)
    """The rows that are waited for."""
    _complete_id: int = field(default=0, init=False)
    """Up to this row none comes any more."""

    async def run(self) -> None:
        """Supplies until cancelled."""
        while True:
            try:
                while await self.send_some():
                    pass
            except Exception as error:
                log.warning("cannot supply a reader, will retry", consumer=self._consumer, error=error)
            await asyncio.sleep(self.pause_seconds)

    async def send_some(self) -> bool:
        """Sends some of what the reader was not sent; says whether it is worth while to go on at once."""
        named = {"consumer": self._consumer}
        async with self.database.transaction() as conn:
            await self._advance_head(conn)
            found = (await conn.execute(_LOOK_UP, named)).one_or_none()
        if found is None:
            return await self._begin()
        if not found[0] and SupplyPosition(*found[1:]).is_at_rest(self._complete_id):
            return False
        async with self.database.transaction() as conn:
            found = (await conn.execute(_TAKE, named)).one_or_none()
            if found is None:  # another process sends
                return False
            # Looked at while no other process sends: what is on the stream is what was sent up to the position.
            extent = await self.stream.extent(self.supply)
            position = SupplyPosition(*found[1:]).seen(extent)
            is_behind = extent.last - extent.first + 1 >= SUPPLY_MESSAGES
            sent = position if is_behind else await self._send(conn, position)
            if (is_behind, sent) != (found[0], SupplyPosition(*found[1:])):
                await conn.execute(_KEEP, {**named, "is_behind": is_behind, **asdict(sent)})
        if is_behind and not found[0]:
            log.warning("a reader is behind, and goes on where it is", consumer=self._consumer)
        return sent != position

    @property
    def _consumer(self) -> str:
        (consumer,) = self.supply.consumers
        return consumer

    async def _advance_head(self, conn: AsyncConnection) -> None:
        if self._head is not None and await outbox.is_complete(conn, self._head):
            self._complete_id, self._head = self._head.last_id, None
        if self._head is None and await outbox.last_id(conn) > self._complete_id:
            self._head = await outbox.next_head(conn)

    async def _begin(self) -> bool:
        """Begins with the history of a reader that is new, as soon as it is known what the outbox tells behind it."""
        if self._head is not None and not self._complete_id:
            return False
        made = (await self.stream.extent(self.supply)).made
        begins = {"consumer": self._consumer, "sent_id": self._complete_id, "stream_made": made}
        async with self.database.transaction() as conn:
            if (await conn.execute(_BEGIN, begins)).rowcount:
                log.info("supplying a new reader", consumer=self._consumer)
        return True

    async def _send(self, conn: AsyncConnection, position: SupplyPosition) -> SupplyPosition:
        """Sends the next part of the history, or of the outbox; returns the position behind it."""
        if position.history_cursor is not None:
            told = await self.history(conn, position.history_cursor)
            await self._publish([replace(each, message_id=new_id().hex) for each in told.messages])
            return replace(position, history_cursor=told.cursor)
        if position.sent_id >= self._complete_id:
            return position
        limits = {"subject": self.source.subject, "after": position.sent_id, "last_id": self._complete_id}
        rows = (await conn.execute(_ROWS, limits)).all()
        await self._publish(
            [
                Message(self.source.subject, each.message_id, each.message_type, bytes(each.payload))
                for each in rows
                if each.payload is not None
            ]
        )
        return replace(position, sent_id=rows[-1].outbox_id if rows else self._complete_id)

    async def _publish(self, messages: Sequence[Message]) -> None:
        await self.stream.publish_all(merge([replace(each, subject=self.supply.subject) for each in messages]))
