"""A reader's answer about facts that stand in dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg

from chassis.answering import Reader
from chassis.comparison import Answer, Fact, decode_answer, encode_question
from services.rewards.events import told_facts
from tests.faults.reconciling import PROGRAM, READER, SPEC, Apparatus, batch

LETTERS = 1_100
"""More than are read at once."""


@dataclass
class CountedReading:
    """Reads messages, and counts how many."""

    messages: int = 0

    def __call__(self, payload: bytes) -> Iterable[Fact]:
        self.messages += 1
        return told_facts(payload)


async def ask(reader: Reader, event_ids: Sequence[str]) -> Answer:
    """The reader's answer about facts."""
    return decode_answer(await reader.answer(encode_question([Fact(PROGRAM, each) for each in event_ids])))


async def set_aside(conn: psycopg.AsyncConnection[Any], name: str, *event_ids: str) -> None:
    """Sets a message aside."""
    await conn.execute(
        "INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)"
        " VALUES (%s, %s, %s, %s, 'error', now())",
        [READER, name, SPEC.subject, batch(*event_ids)],
    )


async def test_each_dead_letter_is_read_once_whatever_is_asked(silent_apparatus: Apparatus) -> None:
    apparatus, reading = silent_apparatus, CountedReading()
    reader = Reader(apparatus.database, apparatus.stream, READER, cast(Any, apparatus.settled_of), reading)
    apparatus.settled.add("settled")
    for number in range(LETTERS):
        await set_aside(apparatus.owner, f"letter-{number:04}", f"aside-{number}", "settled")
    await ask(reader, ["settled"])
    assert reading.messages == 0
    for _ in range(3):
        answer = await ask(reader, ["settled", "aside-3", "missing"])
        assert (list(answer.missing), list(answer.set_aside)) == ([2], [1])
    await set_aside(apparatus.owner, "one more", "missing")
    answer = await ask(reader, ["settled", "aside-3", "missing"])
    assert (list(answer.missing), list(answer.set_aside)) == ([], [1, 2])
    assert reading.messages == LETTERS + 1


async def test_what_a_letter_tells_is_missing_once_it_is_put_back(silent_apparatus: Apparatus) -> None:
    apparatus = silent_apparatus
    reader = Reader(apparatus.database, apparatus.stream, READER, cast(Any, apparatus.settled_of), told_facts)
    await set_aside(apparatus.owner, "letter", "aside")
    assert list((await ask(reader, ["aside"])).set_aside) == [0]
    await apparatus.owner.execute("DELETE FROM dead_letter")
    assert list((await ask(reader, ["aside"])).missing) == [0]


async def test_names_that_no_table_could_have_keep_no_other_from_being_found(silent_apparatus: Apparatus) -> None:
    apparatus = silent_apparatus
    reader = Reader(apparatus.database, apparatus.stream, READER, cast(Any, apparatus.settled_of), told_facts)
    await set_aside(apparatus.owner, "letter", "nul\x00", "long" * 10_000, "twice", "twice", "")
    await set_aside(apparatus.owner, "other", "aside", "twice")
    assert list((await ask(reader, ["aside", "twice", "missing"])).set_aside) == [0, 1]
