"""Clicks of the stream as rows of PostgreSQL's binary COPY, put together by hand: twice as fast as a library's dumpers."""

from dataclasses import dataclass
from operator import attrgetter
from struct import Struct

from upline.attribution.v1.click_pb2 import ClickBatch

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_HEAD = Struct(">hi16s").pack
"""Number of fields, then the first of them: the id."""
_TIME = Struct(">iq").pack
_LENGTHS = [length.to_bytes(4) for length in range(4_096)]
"""More than any field of a sealed click has bytes (128 characters of 4 bytes are the longest)."""
_POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts."""
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ClickRows:
    """Clicks ready to be copied."""

    rows: bytes
    click_count: int
    days: frozenset[int]
    """Days of the ids, counted from 1970: the partitions that these clicks need."""


def encode(batch: ClickBatch) -> ClickRows:
    """The rows of a batch of sealed clicks, with the columns of `store.clicks`; equal ids stay in their order. Raises ValueError for one that is not sealed."""
    parts = [_SIGNATURE]
    days = set()
    lengths = _LENGTHS
    # In the order of the ids, so that two writers with the same clicks wait for one another and never deadlock.
    for click in sorted(batch.clicks, key=attrgetter("click_id")):
        click_id = click.click_id
        if len(click_id) != 16:
            raise ValueError("a click without an id in the stream")
        id_ms = int.from_bytes(click_id[:6])
        days.add(id_ms // _DAY_MS)
        occurred_us = id_ms * 1000
        if click.HasField("occurred_at"):
            occurred_us = click.occurred_at.seconds * 1_000_000 + click.occurred_at.nanos // 1000
        program_id = click.program_id.encode()
        link_id = click.link_id.encode()
        visitor_id = click.visitor_id.encode()
        ip_hash = click.ip_hash
        user_agent_hash = click.user_agent_hash
        referrer_host = click.referrer_url.encode()
        parts += (
            _HEAD(8, 16, click_id),
            lengths[len(program_id)],
            program_id,
            lengths[len(link_id)],
            link_id,
            lengths[len(visitor_id)],
            visitor_id,
            _TIME(8, occurred_us - _POSTGRES_EPOCH_US),
            lengths[len(ip_hash)],
            ip_hash,
            lengths[len(user_agent_hash)],
            user_agent_hash,
            lengths[len(referrer_host)],
            referrer_host,
        )
    parts.append(_TRAILER)
    return ClickRows(b"".join(parts), len(batch.clicks), frozenset(days))
