"""Ids that grow with time, so that indexes grow at one end and partitions can be cut by id."""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562 §5.7)."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def id_at(moment: datetime) -> UUID:
    """A fresh UUIDv7 of that moment, microseconds included (RFC 9562 §6.2, method 3). The moment is of the caller's
    clock, not of the machine's."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds, rest = divmod(since, timedelta(milliseconds=1))
    fraction = rest // timedelta(microseconds=1) * 4096 // 1000
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def least_id(moment: datetime) -> UUID:
    """The bound between ids of earlier milliseconds and those of this one. All moments before 1970 have the bound of
    1970."""
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def id_time(value: UUID) -> datetime:
    """The time in an id made here or in any UUIDv7."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def random_token(byte_count: int) -> bytes:
    """Unguessable bytes from the operating system."""
    return os.urandom(byte_count)
