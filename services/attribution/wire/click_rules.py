"""The rules that clicks keep: the limits of click.proto, ids, and the times in ids."""

import os
from collections.abc import Sequence
from datetime import timedelta

from upline.attribution.v1.click_pb2 import Click, ClickKind

MAX_AGE = timedelta(days=2)
"""The age at which a click may still come in: an edge that was cut off for a day of the week-end keeps its clicks."""
MAX_SKEW = timedelta(hours=1)
"""The time by which the clock of a caller may be ahead of this one."""
ID_BYTES = 16
HASH_BYTES = 16
# As in click.proto.
MAX_REQUEST_CLICKS = 1_000
MAX_PROGRAM_ID_CHARS = 63
MAX_LINK_ID_CHARS = 64
MAX_VISITOR_ID_CHARS = 128
MAX_IP_ADDRESS_CHARS = 45
MAX_USER_AGENT_CHARS = 1_024
MAX_REFERRER_URL_CHARS = 2_048
MAX_KIND = max(ClickKind.values())
MAX_AGE_MS = MAX_AGE // timedelta(milliseconds=1)
MAX_SKEW_MS = MAX_SKEW // timedelta(milliseconds=1)
OF_VERSION_7 = bytes(range(0x70, 0x80))
OF_VARIANT = bytes(range(0x80, 0xC0))


def id_time_us(click_id: bytes) -> int:
    """The time in a UUIDv7, in microseconds since 1970."""
    return int.from_bytes(click_id[:6]) * 1000


def new_click_id(now_ms: int) -> bytes:
    """A fresh UUIDv7 (RFC 9562 §5.7) of the given time, as bytes."""
    tail = int.from_bytes(os.urandom(10))
    high = now_ms << 16 | 0x7000 | (tail >> 64) & 0x0FFF
    return (high << 64 | 0x8000_0000_0000_0000 | tail & 0x3FFF_FFFF_FFFF_FFFF).to_bytes(16)


def conforms(click: Click) -> bool:
    """Whether a click keeps to the rules of click.proto. It says the same as the general check, at a third of its
    cost."""
    return (
        0 < len(click.program_id) <= MAX_PROGRAM_ID_CHARS
        and 0 < len(click.link_id) <= MAX_LINK_ID_CHARS
        and len(click.click_id) <= ID_BYTES
        and len(click.visitor_id) <= MAX_VISITOR_ID_CHARS
        and len(click.ip_address) <= MAX_IP_ADDRESS_CHARS
        and len(click.user_agent) <= MAX_USER_AGENT_CHARS
        and len(click.referrer_url) <= MAX_REFERRER_URL_CHARS
        and len(click.ip_hash) <= HASH_BYTES
        and len(click.user_agent_hash) <= HASH_BYTES
        and 0 <= click.kind <= MAX_KIND
    )


def are_regular(click_ids: Sequence[bytes], now_ms: int) -> bool:
    """Whether all ids are UUIDv7 of a time that is accepted."""
    if set(map(len, click_ids)) != {ID_BYTES}:
        return False
    joined = b"".join(click_ids)
    if joined[6::ID_BYTES].translate(None, OF_VERSION_7) or joined[8::ID_BYTES].translate(None, OF_VARIANT):
        return False
    return are_timely(min(click_ids), max(click_ids), now_ms)


def are_timely(oldest_id: bytes, newest_id: bytes, now_ms: int) -> bool:
    """Whether the times in UUIDv7 are accepted, from the oldest to the newest."""
    first_ms, last_ms = int.from_bytes(oldest_id[:6]), int.from_bytes(newest_id[:6])
    return now_ms - MAX_AGE_MS <= first_ms and last_ms <= now_ms + MAX_SKEW_MS
