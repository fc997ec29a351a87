"""Pages (AIP-158) end by count or by bytes; their tokens are opaque and bound to the request they continue."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message as ProtoMessage
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import invalid

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
"""Whoever asks for more gets these, and a token for the rest."""
MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Half of what a client of gRPC reads by default: the other half is for what an answer has beside its items, and for an
item that is alone on its page because it is longer."""
_MAC_BYTES = 12

Item = TypeVar("Item")
ItemMessage = TypeVar("ItemMessage", bound=ProtoMessage)


@dataclass(frozen=True, slots=True)
class Portion(Generic[Item]):
    """The first items of a list, as many as an answer holds and one more."""

    items: Sequence[Item]
    listed_count: int
    """How many items the list has, with those that were left where they are."""

    @classmethod
    def whole(cls, items: Sequence[Item]) -> "Portion[Item]":
        """A list without anything left out: its items are so short that as many as a page may have fit."""
        return cls(items, len(items))


def within_budget(listing: str, row_bytes: str, order: str) -> TextClause:
    """A statement for the first rows of `listing`, up to and with the one by which an answer is full.

    The rows behind them are measured and counted only: PostgreSQL knows how long a value is without reading it where
    it is a `text` or `bytea`. So a page takes as much memory here as the answer does, however long the rows are.
    `row_bytes` is the length of a row's long values, in SQL; `order` is that of the listing, by its columns.
    """
    return text(f"""
        SELECT * FROM (
            SELECT listing.*, count(*) OVER () AS listed_count,
                sum({row_bytes}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) - ({row_bytes}) AS bytes_before
            FROM ({listing}) AS listing
        ) AS measured
        WHERE bytes_before <= {MAX_PAGE_BYTES} ORDER BY {order}
    """)


async def read_portion(
    conn: AsyncConnection, statement: TextClause, parameters: dict[str, Any], read: Callable[[Row[Any]], Item]
) -> Portion[Item]:
    """The rows that a statement made by `within_budget` finds."""
    rows = (await conn.execute(statement, parameters)).all()
    return Portion([read(row) for row in rows], rows[0].listed_count if rows else 0)


@dataclass(slots=True)
class Filling(Generic[ItemMessage]):
    """The items of an answer that is being put together."""

    messages: list[ItemMessage] = field(default_factory=list)
    left_bytes: int = MAX_PAGE_BYTES

    def add(self, message: ItemMessage) -> bool:
        """Adds an item, or says False if the answer is full. The first always fits, or nobody would come past it."""
        size = message.ByteSize()
        if self.messages and size > self.left_bytes:
            return False
        self.messages.append(message)
        self.left_bytes -= size
        return True

    def fill(self, messages: Iterable[ItemMessage]) -> bool:
        """Adds items until one does not fit; says whether all did."""
        return all(self.add(each) for each in messages)


def fitting(messages: Iterable[ItemMessage], most_bytes: int = MAX_PAGE_BYTES) -> list[ItemMessage]:
    """The first messages that fit into an answer."""
    filling: Filling[ItemMessage] = Filling(left_bytes=most_bytes)
    filling.fill(messages)
    return filling.messages


@dataclass(frozen=True, slots=True)
class Pager:
    """Makes and reads page tokens with a key of the deployment."""

    key: bytes

    def token(self, request: ProtoMessage, position: list[Any]) -> str:
        """A token for the page after `position` (JSON values)."""
        body = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(request, body) + body).decode().rstrip("=")

    def position(self, request: ProtoMessage, token: str) -> list[Any] | None:
        """The position in a token, None for an empty one. INVALID_ARGUMENT if it was not made for this query."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise invalid("page_token", "is not a page token", "INVALID_PAGE_TOKEN") from error
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(request, body)):
            raise invalid("page_token", "was not made for this request", "INVALID_PAGE_TOKEN")
        position: list[Any] = json.loads(body)
        return position

    def page(
        self,
        request: ProtoMessage,
        found: Portion[Item],
        size: int,
        write: Callable[[Item], ItemMessage],
        position: Callable[[Item], list[Any]],
    ) -> tuple[list[ItemMessage], str]:
        """The messages of the next page, and the token for what comes after it. `found` lists one item more than
        `size` if there is more."""
        messages = fitting(write(each) for each in found.items[:size])
        return messages, self.next_token(request, found, len(messages), position)

    def next_token(
        self, request: ProtoMessage, found: Portion[Item], count: int, position: Callable[[Item], list[Any]]
    ) -> str:
        """The token for whatever comes after the first `count` of `found`; empty if nothing does."""
        return self.token(request, position(found.items[count - 1])) if found.listed_count > count else ""

    def _mac(self, request: ProtoMessage, body: bytes) -> bytes:
        query = type(request)()
        query.CopyFrom(request)
        for name in ("page_token", "page_size"):
            query.ClearField(name)
        content = query.DESCRIPTOR.full_name.encode() + query.SerializeToString(deterministic=True) + body
        return hmac.digest(self.key, content, hashlib.sha256)[:_MAC_BYTES]


def page_size(requested: int, default: int = DEFAULT_PAGE_SIZE) -> int:
    """The page size to use. The contracts refuse a negative one; one that is too large is cut, as AIP-158 has it."""
    return min(requested or default, MAX_PAGE_SIZE)
