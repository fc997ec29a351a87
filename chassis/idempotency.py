"""Calls with a request id are carried out once: the same call in the same program gets the first answer again, and
another call under the same id is refused with ALREADY_EXISTS.

Answers are kept for a stated time (chassis/retention.py). Afterwards an id says nothing by itself: the call is carried
out as a new one, unless the id is a UUIDv7. That one begins with the time at which it was made, and is refused if it
was made so long ago that its answer may have been removed.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from google.protobuf.message import Message as ProtoMessage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import UplineError, already_exists, failed_precondition, invalid
from chassis.ids import id_time

Value = TypeVar("Value")
Answer = TypeVar("Answer")
Response = TypeVar("Response", bound=ProtoMessage)

SKEW = "1 day"
"""How far callers' clocks may be ahead: a call whose id was made by such a clock is refused this much earlier, rather
than carried out twice."""
FIRST_TIMED_ID = datetime(2020, 1, 1, tzinfo=UTC)
"""Before it nobody made a UUIDv7. Of random digits in the form of one, nearly all have a time outside the years since
then, and are no times at all."""

# Not partitioned: a UNIQUE key over all requests is impossible on a table partitioned by time. Before ids were a
# program's own, answers went into `request`, which does not say whose they are; but the program is part of the body, so
# a body that is there is this program's.
_CLAIM = text(f"""
    WITH claimed AS (
        INSERT INTO program_request (program_id, method, request_id, body_hash)
        SELECT :program_id, :method, :request_id, :body_hash
        WHERE coalesce(CAST(:make_time AS timestamptz) >= (
            SELECT removed_before + interval '{SKEW}' FROM retention WHERE life = 'requests'), true)
        ON CONFLICT (program_id, method, request_id) DO NOTHING RETURNING 1)
    SELECT EXISTS (SELECT FROM claimed) AS is_claimed,
        (SELECT response FROM request
            WHERE method = :method AND request_id = :request_id AND body_hash = :body_hash) AS response
""")
_KEY = "program_id = :program_id AND method = :method AND request_id = :request_id"
_READ = text(f"SELECT body_hash, response FROM program_request WHERE {_KEY}")
_KEEP = text(f"UPDATE program_request SET response = :response WHERE {_KEY}")


def body_hash(request: ProtoMessage) -> bytes:
    """A hash of a message's content, which does not depend on the order of map entries."""
    return hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Call(Generic[Value, Answer]):
    """One call that may be repeated, as a command sees it: no message, but all it takes to answer a repetition alike.

    A command hands it on to `answer_once` with a function that returns a value; the answer is opaque to it.
    """

    program_id: str
    """The program whose own the request id is."""
    method: str
    request_id: str
    digest: bytes
    """A hash of everything the call asks for: another call under the same id has another one."""
    encode: Callable[[Value], Answer]
    """The answer that tells a command's result."""
    to_bytes: Callable[[Answer], bytes]
    """An answer as it is stored."""
    from_bytes: Callable[[bytes], Answer]


def call_of(
    request: ProtoMessage,
    answer_type: type[Response],
    encode: Callable[[Value], Response],
    request_id: str | None = None,
) -> Call[Value, Response]:
    """The call that a request makes. `request_id`: where the request has no field of that name.

    The program is the request's `program_id`, or that of the program it speaks of.
    """
    return Call(
        program_id=_program_id(request),
        method=request.DESCRIPTOR.full_name,
        request_id=getattr(request, "request_id") if request_id is None else request_id,  # noqa: B009
        digest=body_hash(request),
        encode=encode,
        to_bytes=answer_type.SerializeToString,
        from_bytes=answer_type.FromString,
    )


async def answer_once(
    conn: AsyncConnection, call: Call[Value, Answer], carry_out: Callable[[], Awaitable[Value]]
) -> Answer:
    """Carries a call out once in its program; a second one waits for the first one's transaction and gets its answer.

    ALREADY_EXISTS if the request id was used for another call. FAILED_PRECONDITION if it was made so long ago that
    nobody knows any more whether it was used.
    """
    if "\x00" in call.request_id:  # PostgreSQL cannot store it
        raise invalid("request_id", "must not contain the character U+0000")
    key = {"program_id": call.program_id, "method": call.method, "request_id": call.request_id}
    make_time = id_make_time(call.request_id)
    found = (await conn.execute(_CLAIM, {**key, "body_hash": call.digest, "make_time": make_time})).one()
    earlier = found.response
    if not found.is_claimed:
        stored = (await conn.execute(_READ, key)).one_or_none()
        if stored is None and earlier is None:
            raise _too_old()
        if stored is None:
            return call.from_bytes(bytes(earlier))
        if bytes(stored.body_hash) != call.digest:
            raise already_exists(
                "REQUEST_ID_REUSED",
                "this request_id was used before in this program for a request with another content",
                "request_id",
            )
        return call.from_bytes(bytes(stored.response))
    answer = call.encode(await carry_out()) if earlier is None else call.from_bytes(bytes(earlier))
    await conn.execute(_KEEP, {**key, "response": call.to_bytes(answer)})
    return answer


def id_make_time(request_id: str) -> datetime | None:
    """When a request id was made, where it is a UUIDv7 in the form with hyphens; None for any other id."""
    try:
        value = UUID(request_id)
        moment = id_time(value)
    except ValueError:  # no id of this form, or its time is none that a calendar has
        return None
    is_timed = value.version == 7 and str(value) == request_id.lower() and moment >= FIRST_TIMED_ID
    return moment if is_timed else None


def _too_old() -> UplineError:
    return failed_precondition(
        "REQUEST_ID_TOO_OLD",
        "this request_id was made so long ago that the answer to its call, if there was one, is not kept any more."
        " Look whether the call was carried out; if it was not, send it with a new request_id",
        "request_id",
    )


def _program_id(request: ProtoMessage) -> str:
    named = request if "program_id" in request.DESCRIPTOR.fields_by_name else getattr(request, "program")  # noqa: B009
    program_id: str = getattr(named, "program_id")  # noqa: B009
    return program_id
