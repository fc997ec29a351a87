"""Ids that grow with time, so that indexes grow at one end and partitions can be cut by id."""

import hashlib
import os
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils

_VERSION_8 = 0x8000
_VARIANT = 0x8000_0000_0000_0000


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562 §5.7)."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def stable_id(unix_ms: int, *parts: str) -> UUID:
    """A UUIDv8 (RFC 9562 §5.8) of 48 bits of time and 74 bits of a hash of `parts`: the same input, the same id."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=10).digest()
    return compose_id(unix_ms, int.from_bytes(digest))


def compose_id(unix_ms: int, tail: int) -> UUID:
    """A UUIDv8 of 48 bits of time and the lowest 74 bits of `tail`."""
    high = (unix_ms & 0xFFFF_FFFF_FFFF) << 16 | _VERSION_8 | (tail >> 62) & 0x0FFF
    return UUID(int=high << 64 | _VARIANT | tail & 0x3FFF_FFFF_FFFF_FFFF)


def id_time(value: UUID) -> datetime:
    """The time in an id made here or in any UUIDv7."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def random_token(byte_count: int) -> bytes:
    """Unguessable bytes from the operating system."""
    return os.urandom(byte_count)
