"""A publisher's facts are compared with those that a reader has settled: questions, answers, and how a difference is
narrowed down to the facts that are missing. All of it is pure; the two sides are `chassis.asking` and
`chassis.answering`.

A question names facts, and the answer says how many of them the reader has, with a digest of their names as they stand
in its tables. Equal counts and digests end it. Otherwise the answer names what is missing, up to a bound, and what does
not fit is found by asking for one half of the facts and then the other.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

QUESTION_FACTS = 1_000
"""The most facts of a question: ten milliseconds of a reader's database."""
QUESTION_BYTES = 256 * 1024
"""The most bytes of the names in a question: a quarter of what the broker takes. A single name is far shorter."""
NAMED_FACTS = 200
"""The most facts that an answer names."""
_MODULUS = 1 << 64


class Fact(NamedTuple):
    """A fact, by the names under which publisher and reader both know it."""

    program_id: str
    event_id: str


class Digest(NamedTuple):
    """How many facts there are, and the sum of the hashes of their names: the same for the same facts in any order."""

    fact_count: int
    total: int


def digest(facts: Iterable[Fact]) -> Digest:
    """The digest of facts, each of which comes once."""
    count = total = 0
    for each in facts:
        hashed = hashlib.blake2b("\x1f".join(each).encode(), digest_size=8).digest()
        total = (total + int.from_bytes(hashed)) % _MODULUS
        count += 1
    return Digest(count, total)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reader's answer about the facts in a question. The lists hold places in the question, together at most
    NAMED_FACTS of them, so that they may not be complete."""

    settled: Digest
    """Of the facts that it has settled."""
    missing: Sequence[int]
    """Those of which it knows nothing."""
    set_aside: Sequence[int]
    """Those in messages that are set aside as dead letters."""


@dataclass(slots=True)
class Difference:
    """The facts that a reader has not settled."""

    missing: list[Fact] = field(default_factory=list)
    set_aside: list[Fact] = field(default_factory=list)


Ask = Callable[[Sequence[Fact]], Awaitable[Answer | None]]
"""Asks a reader; None where it does not answer."""


async def compare(ask: Ask, facts: Sequence[Fact]) -> Difference | None:
    """The facts among these that the reader has not settled; None where that is not known, because it does not
    answer."""
    found = Difference()
    parts = list(questions(facts))[::-1]
    while parts:
        part = parts.pop()
        answer = await ask(part)
        if answer is None:
            return None
        if answer.settled == digest(part):
            continue
        named = {*answer.missing, *answer.set_aside}
        rest = digest(fact for place, fact in enumerate(part) if place not in named)
        if rest == answer.settled or len(part) == 1:
            found.missing += [part[each] for each in answer.missing]
            found.set_aside += [part[each] for each in answer.set_aside]
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return found


def questions(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    """Facts in portions that fit into a question each."""
    start = size = 0
    for place, each in enumerate(facts):
        length = len(each.program_id.encode()) + len(each.event_id.encode())
        if place > start and (place - start == QUESTION_FACTS or size + length > QUESTION_BYTES):
            yield facts[start:place]
            start, size = place, 0
        size += length
    if start < len(facts):
        yield facts[start:]


def answer_of(facts: Sequence[Fact], settled: Collection[Fact], set_aside: Collection[Fact]) -> Answer:
    """The answer of a reader that has settled some of the facts in a question, and set others aside."""
    missing = [place for place, each in enumerate(facts) if each not in settled and each not in set_aside]
    aside = [place for place, each in enumerate(facts) if each not in settled and each in set_aside]
    named = missing[:NAMED_FACTS]
    return Answer(digest(settled), named, aside[: NAMED_FACTS - len(named)])


def encode_question(facts: Sequence[Fact]) -> bytes:
    """A question as it goes over the broker."""
    return json.dumps({"facts": facts}, ensure_ascii=False).encode()


def decode_question(payload: bytes) -> list[Fact]:
    """The facts in a question. Fields that a later version adds are passed over."""
    return [Fact(program_id, event_id) for program_id, event_id in json.loads(payload)["facts"]]


def encode_answer(answer: Answer) -> bytes:
    """An answer as it goes over the broker."""
    told = {"settled": answer.settled, "missing": answer.missing, "set_aside": answer.set_aside}
    return json.dumps(told).encode()


def decode_answer(payload: bytes) -> Answer:
    """The answer in a message. Fields that a later version adds are passed over."""
    told = json.loads(payload)
    return Answer(Digest(*told["settled"]), told["missing"], told["set_aside"])
