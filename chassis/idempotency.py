"""Same request id and body in one program: the first answer again. Same id, another body: ALREADY_EXISTS."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message as ProtoMessage
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Table, Text, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, invalid

Response = TypeVar("Response", bound=ProtoMessage)

# Not partitioned: a UNIQUE key over all requests is impossible on a table partitioned by time. Before ids were a
# program's own, answers went into `request`, which does not say whose they are; but the program is part of the body, so
# a body that is there is this program's.
_CLAIM = text("""
    WITH claimed AS (
        INSERT INTO program_request (program_id, method, request_id, body_hash)
        VALUES (:program_id, :method, :request_id, :body_hash)
        ON CONFLICT (program_id, method, request_id) DO NOTHING RETURNING 1)
    SELECT EXISTS (SELECT FROM claimed) AS is_claimed,
        (SELECT response FROM request
            WHERE method = :method AND request_id = :request_id AND body_hash = :body_hash) AS response
""")
_KEY = "program_id = :program_id AND method = :method AND request_id = :request_id"
_READ = text(f"SELECT body_hash, response FROM program_request WHERE {_KEY}")
_KEEP = text(f"UPDATE program_request SET response = :response WHERE {_KEY}")


def request_tables(metadata: MetaData) -> tuple[Table, Table]:
    """Requests already carried out, with their answers. Those in `request` are of versions before ids were a program's
    own, and are only read."""
    return (
        Table("program_request", metadata, Column("program_id", Text, primary_key=True), *_columns()),
        Table("request", metadata, *_columns()),
    )


def _columns() -> tuple[Column[Any], ...]:
    return (
        Column("method", Text, primary_key=True),
        Column("request_id", Text, primary_key=True),
        Column("body_hash", LargeBinary, nullable=False),
        Column("response", LargeBinary),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


def body_hash(request: ProtoMessage) -> bytes:
    """A hash of a message's content that does not depend on the order of map entries."""
    return hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=16).digest()


async def once(
    conn: AsyncConnection,
    request: ProtoMessage,
    answer_type: type[Response],
    carry_out: Callable[[], Awaitable[Response]],
) -> Response:
    """Carries a request with a `request_id` out once in its program; a second call waits for the first one's
    transaction.

    The program is the request's `program_id`, or that of the program it speaks of.
    """
    request_id: str = getattr(request, "request_id")  # noqa: B009
    if "\x00" in request_id:  # PostgreSQL cannot store it
        raise invalid("request_id", "must not contain the character U+0000")
    key = {
        "program_id": _program_id(request),
        "method": request.DESCRIPTOR.full_name,
        "request_id": request_id,
    }
    digest = body_hash(request)
    found = (await conn.execute(_CLAIM, {**key, "body_hash": digest})).one()
    if not found.is_claimed:
        stored = (await conn.execute(_READ, key)).one()
        if bytes(stored.body_hash) != digest:
            raise already_exists(
                "REQUEST_ID_REUSED",
                "this request_id was used before in this program for a request with another content",
                "request_id",
            )
        return answer_type.FromString(bytes(stored.response))
    if found.response is not None:
        answer = answer_type.FromString(bytes(found.response))
    else:
        answer = await carry_out()
    await conn.execute(_KEEP, {**key, "response": answer.SerializeToString()})
    return answer


def _program_id(request: ProtoMessage) -> str:
    named = request if "program_id" in request.DESCRIPTOR.fields_by_name else getattr(request, "program")  # noqa: B009
    program_id: str = getattr(named, "program_id")  # noqa: B009
    return program_id
