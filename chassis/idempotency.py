"""Same request id and body: the first answer again. Same id, another body: ALREADY_EXISTS."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Table, Text, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, invalid

Response = TypeVar("Response", bound=ProtoMessage)

# Not partitioned: a UNIQUE key over all requests is impossible on a table partitioned by time.
_CLAIM = text("""
    INSERT INTO request (method, request_id, body_hash) VALUES (:method, :request_id, :body_hash)
    ON CONFLICT (method, request_id) DO NOTHING
""")
_READ = text("SELECT body_hash, response FROM request WHERE method = :method AND request_id = :request_id")
_KEEP = text("UPDATE request SET response = :response WHERE method = :method AND request_id = :request_id")


def request_table(metadata: MetaData) -> Table:
    """Requests already carried out, with their answers."""
    return Table(
        "request",
        metadata,
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
    """Carries a request with a `request_id` out once; a second call waits for the first one's transaction.

    The whole body counts, `program_id` with it, so ids need to be unique by method only.
    """
    request_id: str = getattr(request, "request_id")  # noqa: B009
    if "\x00" in request_id:  # PostgreSQL cannot store it
        raise invalid("request_id", "must not contain the character U+0000")
    key = {"method": request.DESCRIPTOR.full_name, "request_id": request_id}
    digest = body_hash(request)
    claimed = await conn.execute(_CLAIM, {**key, "body_hash": digest})
    if claimed.rowcount == 0:
        stored = (await conn.execute(_READ, key)).one()
        if bytes(stored.body_hash) != digest:
            raise already_exists(
                "REQUEST_ID_REUSED", "this request_id was used before for a request with another content", "request_id"
            )
        return answer_type.FromString(bytes(stored.response))
    answer = await carry_out()
    await conn.execute(_KEEP, {**key, "response": answer.SerializeToString()})
    return answer
