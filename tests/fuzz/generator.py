"""Requests of every method, generated from its descriptors: as its rules allow, spoiled, from scratch, and garbled."""

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cli.bundle.program import Bundle
from tests.fuzz.filling import Filler, wanted
from tests.fuzz.pool import Pool
from tests.fuzz.spoiling import Spoiler

REMEMBERED_REQUESTS = 40
REMEMBERED_PAGES = 40
CONTINUED = 0.4
"""How often a list is asked for its next page rather than its first."""
REPEATED, REPEATED_OTHERWISE = 0.04, 0.04
"""How often an earlier request is sent again, as it was or with something changed."""
FAVOURITE, OLD_PROGRAM = 0.4, 0.5
"""How often a call is about the first program, which has everything, and how often about one of those that were there
at first, where much has happened."""
TRIES = 8


@dataclass(frozen=True, slots=True)
class Made:
    """A request as it is sent."""

    method: MethodDescriptor
    parts: tuple[bytes, ...]
    """The bytes of its messages: one, but for streams of requests."""
    program_id: str
    """The program it is about, as far as is known."""
    how: str
    """`valid`, `spoiled`, `wild`, `garbled`, `repeated`, …"""
    messages: tuple[Message, ...]
    """The same, read; none where the bytes are no messages."""


class Generator:
    """Makes requests from what is known so far."""

    def __init__(self, rng: random.Random, pool: Pool, bundles: Sequence[Bundle]) -> None:
        self._rng = rng
        self._pool = pool
        known = {bundle.program.program_id: bundle for bundle in bundles}
        self._programs = list(known)
        self._answered: dict[str, deque[Made]] = defaultdict(lambda: deque(maxlen=REMEMBERED_REQUESTS))
        self._pages: dict[str, deque[tuple[bytes, str]]] = defaultdict(lambda: deque(maxlen=REMEMBERED_PAGES))
        """(request, token of the page after its), by method."""
        self._filler = Filler(rng, pool, known)
        self._spoiler = Spoiler(rng, pool, self._pages)

    def make(self, method: MethodDescriptor, how: str = "", program_id: str = "") -> Made:
        """A request of a method; `how`: in which way, by default in any; `program_id`: of which program, by default of
        one that has what the request needs."""
        rng = self._rng
        if not how and (earlier := self._answered[method.name]):
            draw = rng.random()
            if draw < REPEATED:
                return self._again(rng.choice(earlier))
            if draw < REPEATED + REPEATED_OTHERWISE:
                return self._otherwise(rng.choice(earlier))
        if not how:
            how = rng.choices(("valid", "spoiled", "wild", "garbled"), (72, 20, 6, 2))[0]
        program_id = program_id or self._program_for(method)
        request: Message
        if how == "wild":
            request = GetMessageClass(method.input_type)()
            self._filler.fill(request, program_id, wild=True)
        else:
            request = self._valid(method, program_id)
            if how == "spoiled":
                for _ in range(rng.choice((1, 1, 1, 2, 3))):
                    self._spoiler.spoil(request)
        if how == "garbled":
            return Made(method, (self._spoiler.garble(request.SerializeToString()),), program_id, how, ())
        before = (
            self._valid(method, program_id) for _ in range(self._rng.randrange(3) if method.client_streaming else 0)
        )
        return _made(method, (*before, request), program_id, how)

    def can_be(self, method: MethodDescriptor) -> bool:
        """Whether there is anything yet that a call of the method may be about."""
        return all(self._pool.has(each) for each in wanted(method))

    def remember(self, made: Made, answer: Message) -> None:
        """Takes a call that succeeded into account."""
        if not made.messages:
            return
        for each in made.messages:
            self._pool.harvest(each, made.program_id)
        self._pool.harvest(answer, made.program_id)
        if len(made.parts[0]) < 20_000:
            self._answered[made.method.name].append(made)
        if token := getattr(answer, "next_page_token", ""):
            self._pages[made.method.name].append((made.parts[0], token))

    def _program_for(self, method: MethodDescriptor) -> str:
        """A program that has what a call of the method names, if that is soon found."""
        names = wanted(method)
        for _ in range(TRIES):
            program_id = self._program()
            if all(self._pool.pick(program_id, each) for each in names):
                break
        return program_id

    def _program(self) -> str:
        draw = self._rng.random()
        if draw < FAVOURITE:
            return self._programs[0]
        return self._rng.choice(self._programs if draw < FAVOURITE + OLD_PROGRAM else self._pool.programs)

    def _again(self, made: Made) -> Made:
        return Made(made.method, made.parts, made.program_id, "repeated", made.messages)

    def _otherwise(self, made: Made) -> Made:
        request = GetMessageClass(made.method.input_type).FromString(made.parts[-1])
        self._spoiler.spoil(request)
        return _made(made.method, (request,), made.program_id, "repeated otherwise")

    def _valid(self, method: MethodDescriptor, program_id: str) -> Message:
        request: Message = GetMessageClass(method.input_type)()
        if (pages := self._pages[method.name]) and self._rng.random() < CONTINUED:
            content, token = self._rng.choice(pages)
            request.MergeFromString(content)
            request.page_token = token  # type: ignore[attr-defined]
            return request
        self._filler.fill(request, program_id)
        return request


def _made(method: MethodDescriptor, messages: tuple[Message, ...], program_id: str, how: str) -> Made:
    return Made(method, tuple(each.SerializeToString() for each in messages), program_id, how, messages)
