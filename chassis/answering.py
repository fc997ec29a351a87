"""A reader of a stream answers what it has settled, to the publisher that compares (`chassis.asking`)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.comparison import Fact, answer_of, decode_question, encode_answer
from chassis.database import Database
from chassis.pages import within_budget
from chassis.stream import Stream
from chassis.topology import reconcile_subject

_LETTERS = within_budget(
    """
    SELECT message_id, payload FROM dead_letter
    WHERE consumer = :consumer AND park_time IS NOT NULL AND message_id > :after ORDER BY message_id LIMIT 1000
    """,
    "octet_length(payload)",
    "message_id",
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Answers for one consumer. Of several processes one is asked, whichever."""

    database: Database
    stream: Stream
    consumer: str
    settled: Callable[[AsyncConnection, Sequence[Fact]], Awaitable[set[Fact]]]
    """Those among facts that are settled, by the names that stand in the tables."""
    read: Callable[[bytes], Iterable[Fact]]
    """The facts in a message of the stream; none where it cannot be read."""

    async def listen(self) -> None:
        """Answers from now on, whenever there is a connection."""
        await self.stream.answer(reconcile_subject(self.consumer), self.consumer, self.answer)

    async def answer(self, question: bytes) -> bytes:
        """The answer to a question."""
        facts = decode_question(question)
        async with self.database.transaction() as conn:
            settled = await self.settled(conn, facts)
        set_aside = await self._set_aside(set(facts) - settled)
        return encode_answer(answer_of(facts, settled, set_aside))

    async def _set_aside(self, missing: set[Fact]) -> set[Fact]:
        """Those among facts that stand in dead letters. These are read only if something is missing."""
        found: set[Fact] = set()
        if missing:
            async for payload in self._letters():
                found |= missing.intersection(self.read(payload))
                if found == missing:
                    break
        return found

    async def _letters(self) -> AsyncIterator[bytes]:
        """The messages that are set aside, some of them in memory at a time."""
        after = ""
        while True:
            async with self.database.transaction() as conn:
                rows = (await conn.execute(_LETTERS, {"consumer": self.consumer, "after": after})).all()
            if not rows:
                return
            for row in rows:
                yield bytes(row.payload)
            after = rows[-1].message_id
