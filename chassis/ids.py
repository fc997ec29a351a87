"""Ids that grow with time, so that indexes grow at one end and partitions can be cut by id."""

import os
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562 §5.7)."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def id_time(value: UUID) -> datetime:
    """The time in an id made here or in any UUIDv7."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def random_token(byte_count: int) -> bytes:
    """Unguessable bytes from the operating system."""
    return os.urandom(byte_count)
