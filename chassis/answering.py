"""A reader of a stream answers what it has settled, to the publisher that compares (`chassis.asking`).

What stands in a dead letter is not missing. A letter is read once: digests of the names of its facts are written down
beside it, so that a question costs what it asks, however many letters there are.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.comparison import Fact, answer_of, decode_question, encode_answer
from chassis.database import Database
from chassis.pages import within_budget
from chassis.stream import Stream
from chassis.topology import reconcile_subject

# Locked, because one that is put back meanwhile takes its facts with it. Who waits for it finds it gone.
_UNREAD_LETTERS = within_budget(
    """
    SELECT message_id, payload FROM dead_letter
    WHERE consumer = :consumer AND park_time IS NOT NULL AND NOT facts_read ORDER BY message_id LIMIT 1000 FOR UPDATE
    """,
    "octet_length(payload)",
    "message_id",
)
_ADD_FACTS = text("""
    INSERT INTO dead_letter_fact (consumer, message_id, digest)
    SELECT CAST(:consumer AS text), * FROM unnest(CAST(:message_ids AS text[]), CAST(:digests AS bytea[]))
    ON CONFLICT DO NOTHING
""")
_NOTE_READ = text("""
    UPDATE dead_letter SET facts_read = true WHERE consumer = :consumer AND message_id = ANY(:message_ids)
""")
_SET_ASIDE = text("""
    SELECT digest FROM dead_letter_fact WHERE consumer = :consumer AND digest = ANY(CAST(:digests AS bytea[]))
""")


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
        """Those among facts that stand in dead letters. These are looked at only if something is missing."""
        if not missing:
            return set()
        while await self._read_letters():
            pass
        digests = {_digest(each): each for each in missing}
        async with self.database.transaction() as conn:
            rows = await conn.execute(_SET_ASIDE, {"consumer": self.consumer, "digests": list(digests)})
            return {digests[bytes(row.digest)] for row in rows}

    async def _read_letters(self) -> int:
        """Reads some of the letters that nobody has read yet; returns how many."""
        async with self.database.transaction() as conn:
            letters = (await conn.execute(_UNREAD_LETTERS, {"consumer": self.consumer})).all()
            if letters:
                names: list[tuple[str, bytes]] = []
                for letter in letters:
                    names += [(letter.message_id, _digest(each)) for each in self.read(bytes(letter.payload))]
                    await asyncio.sleep(0)  # a letter has up to a thousand facts: others have their turn
                added = {"message_ids": [each for each, _ in names], "digests": [each for _, each in names]}
                await conn.execute(_ADD_FACTS, {"consumer": self.consumer, **added})
                read = [letter.message_id for letter in letters]
                await conn.execute(_NOTE_READ, {"consumer": self.consumer, "message_ids": read})
        return len(letters)


def _digest(fact: Fact) -> bytes:
    """A digest of the names of a fact. Those in a dead letter may be of any length, and of any characters."""
    return hashlib.blake2b("\x1f".join(fact).encode(), digest_size=16).digest()
