"""Plain clicks: a batch of clicks that look alike is read from its bytes, at 0.2 µs a click."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from google.protobuf.message import DecodeError
from upline.attribution.v1.click_pb2 import Click, ClickBatch

from services.attribution.domain.links import LinkKey
from services.attribution.wire.click_rules import (
    ID_BYTES,
    MAX_LINK_ID_CHARS,
    MAX_PROGRAM_ID_CHARS,
    MAX_REQUEST_CLICKS,
    OF_VARIANT,
    OF_VERSION_7,
    are_timely,
    id_time_us,
)

_LONG_BYTES = 128
"""The length from which on protobuf needs two bytes to say it (encoding guide, "Base 128 Varints")."""
_LEAST_CLICK_BYTES = 2 + 2 + ID_BYTES + 2 + 1 + 2 + 1
"""The length of the shortest plain click, which has a program and a link of one letter."""
_CLICK_TAG = ClickBatch.CLICKS_FIELD_NUMBER << 3 | 2
Visit = tuple[str, str, bytes, int]
"""The parts of a click that its token states: program, link, click id, and its time in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class PlainClicks:
    """Clicks that are stored as they came: each has an id, a program, a link, perhaps a visitor, and nothing else.

    Whether their time is accepted and their links exist is not known yet.
    """

    frame: bytes
    """The serialised ClickBatch that has them."""
    click_bytes: int
    """The number of bytes that each click takes in `frame`."""
    click_ids: tuple[bytes, ...]
    """The id of each click, a UUIDv7."""
    program_id: str
    link_ids: tuple[bytes, ...]
    """The link of each click, in ASCII."""

    def are_timely(self, now_ms: int) -> bool:
        """Whether the times in their ids are accepted."""
        return are_timely(min(self.click_ids), max(self.click_ids), now_ms)

    def __len__(self) -> int:
        return len(self.click_ids)

    def links(self) -> set[LinkKey]:
        """The links they name."""
        return {(self.program_id, link_id.decode()) for link_id in set(self.link_ids)}

    def link_of_each(self) -> list[LinkKey]:
        """The link that each click names, in their order."""
        return [(self.program_id, link_id.decode()) for link_id in self.link_ids]

    def visits(self) -> Iterator[Visit]:
        """Each click as a visit, in their order: plain clicks are nothing else."""
        times_us = map(id_time_us, self.click_ids)
        return zip(repeat(self.program_id), map(bytes.decode, self.link_ids), self.click_ids, times_us, strict=False)

    def parts(self, max_clicks: int) -> list[tuple[bytes, int]]:
        """ClickBatches of at most that many clicks, and how many each has."""
        frame, limit = self.frame, max_clicks * self.click_bytes
        if len(frame) <= limit:
            return [(frame, len(self.click_ids))]
        cut = [frame[start : start + limit] for start in range(0, len(frame), limit)]
        return [(part, len(part) // self.click_bytes) for part in cut]


def plain_clicks(frame: bytes) -> PlainClicks | None:
    """The clicks of a serialised ClickBatch if they are plain, of one program, and their fields of one length; None if
    it is anything else.

    A batch from one edge nearly always is of this kind. It is then not parsed: clicks of one length are the rows of a
    table, and the bytes that all have in common with the first are compared column by column.
    """
    click_bytes = _first_click_bytes(frame)
    if not click_bytes or len(frame) % click_bytes or len(frame) // click_bytes > MAX_REQUEST_CLICKS:
        return None
    try:
        first = ClickBatch.FromString(frame[:click_bytes]).clicks[0]
    except DecodeError:
        return None
    plain = Click(
        click_id=first.click_id, program_id=first.program_id, link_id=first.link_id, visitor_id=first.visitor_id
    )
    layout = _layout(first.program_id, len(first.link_id.encode()), len(first.visitor_id.encode()))
    # Compared with what protobuf would write, so that each field is where the layout says and there is no other.
    if layout is None or ClickBatch(clicks=[plain]).SerializeToString() != frame[:click_bytes]:
        return None
    if not _all_like_first(frame, click_bytes, layout):
        return None
    fields = _rows(layout.row, len(frame) // click_bytes).unpack(frame)
    return PlainClicks(frame, click_bytes, fields[::2], first.program_id, fields[1::2])


def _all_like_first(frame: bytes, click_bytes: int, layout: "_Layout") -> bool:
    click_count = len(frame) // click_bytes
    for offset in layout.constants:
        if frame[offset::click_bytes] != frame[offset : offset + 1] * click_count:
            return False
    for offset in layout.texts:  # in ASCII, every text is proper UTF-8, wherever it begins and ends
        column = frame[offset::click_bytes]
        if not column.isascii() or b"\x00" in column:
            return False
    versions, variants = frame[layout.version_offset :: click_bytes], frame[layout.variant_offset :: click_bytes]
    return not versions.translate(None, OF_VERSION_7) and not variants.translate(None, OF_VARIANT)


def _first_click_bytes(frame: bytes) -> int:
    """The bytes that the first click takes with its tag and its length, which has one byte or two; 0 if it is no plain
    click.

    This follows protobuf's encoding guide, "Length-Delimited Records".
    """
    if len(frame) < _LEAST_CLICK_BYTES or frame[0] != _CLICK_TAG:
        return 0
    click_bytes = 2 + frame[1] if frame[1] < _LONG_BYTES else 3 + (frame[1] & 0x7F | frame[2] << 7)
    return click_bytes if _LEAST_CLICK_BYTES <= click_bytes <= len(frame) else 0


class _Layout(NamedTuple):
    """The places of the fields of a plain click, from its tag on."""

    constants: tuple[int, ...]
    """The bytes that are the same in all clicks: tags, lengths and the program."""
    texts: tuple[int, ...]
    """The bytes of the link and the visitor."""
    version_offset: int
    variant_offset: int
    row: str
    """A format for `struct` that takes the id and the link."""


@lru_cache(maxsize=1_000)
def _layout(program_id: str, link_bytes: int, visitor_bytes: int) -> _Layout | None:
    """The layout of plain clicks with fields of these lengths. None for clicks that break a rule of the contract, hold
    a zero character or have fields with lengths of two bytes."""
    program_bytes = len(program_id.encode())
    if (
        not 0 < len(program_id) <= MAX_PROGRAM_ID_CHARS
        or not 0 < link_bytes <= MAX_LINK_ID_CHARS
        or max(program_bytes, visitor_bytes) >= _LONG_BYTES
        or "\x00" in program_id
    ):
        return None
    # Each field comes after its tag and its length, a byte each.
    size = 2 + ID_BYTES + 2 + program_bytes + 2 + link_bytes + (2 + visitor_bytes if visitor_bytes else 0)
    head = 2 if size < _LONG_BYTES else 3
    click_id = head + 2
    link = click_id + ID_BYTES + 2 + program_bytes + 2
    visitor = link + link_bytes + 2
    ids = range(click_id, click_id + ID_BYTES)
    texts = (*range(link, link + link_bytes), *range(visitor, visitor + visitor_bytes))
    return _Layout(
        constants=tuple(offset for offset in range(head + size) if offset not in ids and offset not in texts),
        texts=texts,
        version_offset=click_id + 6,
        variant_offset=click_id + 8,
        row=f"{click_id}x{ID_BYTES}s{link - click_id - ID_BYTES}x{link_bytes}s{head + size - link - link_bytes}x",
    )


@lru_cache(maxsize=64)
def _rows(row: str, count: int) -> Struct:
    """Reads so many rows at once; a caller's batches mostly are of one size."""
    return Struct(">" + row * count)
