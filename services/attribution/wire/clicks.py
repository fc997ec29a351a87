"""Clicks as they come in, made fit to be stored: an id, a time, and nothing that says who the visitor is.

All of it runs for every click, so it is written for speed. A batch of clicks that look alike is read from
its bytes (0.2 µs a click); one whose clicks are all regular is changed column by column (2 µs); one that is not is gone
through click by click (5 µs), which also finds the click at fault.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from upline.attribution.v1.click_pb2 import (
    CLICK_KIND_MACHINE,
    Click,
    ClickBatch,
    ClickKind,
    RecordClickRequest,
    RecordClicksRequest,
    StreamClicksRequest,
)

from chassis.errors import invalid
from chassis.handlers import check
from services.attribution.domain.links import LinkKey
from services.attribution.domain.referring_host import referrer_host
from services.attribution.wire.machines import is_machine

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
MAX_HELD = 10_000
"""The number of browsers, and of referring pages, whose results are held: both repeat."""

_MAX_AGE_MS = MAX_AGE // timedelta(milliseconds=1)
_MAX_SKEW_MS = MAX_SKEW // timedelta(milliseconds=1)
_LONG_BYTES = 128
"""The length from which on protobuf needs two bytes to say it (encoding guide, "Base 128 Varints")."""
_LEAST_CLICK_BYTES = 2 + 2 + ID_BYTES + 2 + 1 + 2 + 1
"""The length of the shortest plain click, which has a program and a link of one letter."""
_CLICK_TAG = ClickBatch.CLICKS_FIELD_NUMBER << 3 | 2
_OF_VERSION_7 = bytes(range(0x70, 0x80))
_OF_VARIANT = bytes(range(0x80, 0xC0))
_ID_RULE = "must be a UUIDv7 of 16 bytes"
_TIME_RULE = f"must lie between {MAX_AGE.days} days ago and an hour from now"
_ZERO_RULE = "must not contain a zero character"


Visit = tuple[str, str, bytes, int]
"""The parts of a click that its token states: program, link, click id, and its time in microseconds since 1970."""


class SealedClick(NamedTuple):
    """One click as it is stored."""

    frame: bytes
    """The serialised ClickBatch that has it."""
    link: LinkKey
    click_id: bytes
    kind: ClickKind.ValueType
    clicked_at_us: int


@dataclass(frozen=True, slots=True)
class SealedClicks:
    """Clicks as they are stored. They stay messages, for copying them would cost more than all the rest."""

    clicks: Sequence[Click]
    keys: set[LinkKey]

    def __len__(self) -> int:
        return len(self.clicks)

    def links(self) -> set[LinkKey]:
        """The links they name."""
        return self.keys

    def link_of_each(self) -> list[LinkKey]:
        """The link that each click names, in their order."""
        return [(click.program_id, click.link_id) for click in self.clicks]

    def visits(self) -> Iterator[Visit | None]:
        """Each click in their order; None for one that is no visit."""
        for click in self.clicks:
            yield None if click.kind else (click.program_id, click.link_id, click.click_id, clicked_at_us(click))

    def parts(self, max_clicks: int) -> list[tuple[bytes, int]]:
        """ClickBatches of at most that many clicks, and how many each has."""
        cut = [self.clicks[first : first + max_clicks] for first in range(0, len(self.clicks), max_clicks)]
        return [(ClickBatch(clicks=part).SerializeToString(), len(part)) for part in cut]


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
        return _are_timely(min(self.click_ids), max(self.click_ids), now_ms)

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
    return not versions.translate(None, _OF_VERSION_7) and not variants.translate(None, _OF_VARIANT)


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


class Sealer:
    """Seals clicks with a key of the deployment.

    The hashes are made by BLAKE2b's keyed mode (RFC 7693 §2.9), which is made for the same purpose as HMAC-SHA256, at a
    quarter of its cost.
    """

    def read_click(self, request: RecordClickRequest, now_ms: int) -> SealedClick:
        """The click of a request, which is sealed in place. Raises INVALID_ARGUMENT, which names the field at fault."""
        if not request.HasField("click") or not conforms(request.click):
            check(request)
        request.DiscardUnknownFields()
        self.seal(request.click, "click", now_ms)
        return sealed_click(request)

    def read_clicks(self, request: RecordClicksRequest | StreamClicksRequest, now_ms: int) -> SealedClicks:
        """The clicks of a request, which are sealed in place. Raises INVALID_ARGUMENT, which names the first click at
        fault."""
        clicks = request.clicks
        if not 0 < len(clicks) <= MAX_REQUEST_CLICKS:
            check(request)
        request.DiscardUnknownFields()
        keys = self.seal_regular(clicks, now_ms)
        if keys is not None:
            return SealedClicks(clicks, keys)
        if not all(map(conforms, clicks)):
            check(request)
        for index, click in enumerate(clicks):
            self.seal(click, f"clicks[{index}]", now_ms)
        return SealedClicks(clicks, {(click.program_id, click.link_id) for click in clicks})

    def __init__(self, key: bytes) -> None:
        self._ip = blake2b(key=key, digest_size=HASH_BYTES, person=b"upline ip")
        self._user_agent = blake2b(key=key, digest_size=HASH_BYTES, person=b"upline browser")
        self._user_agents: dict[str, tuple[bytes, bool]] = {}
        self._referrer_hosts: dict[str, str] = {}

    def seal_regular(self, clicks: Sequence[Click], now_ms: int) -> set[LinkKey] | None:
        """Does for all clicks what `seal` does, and returns the links they name; or None, with nothing changed, if one
        of them breaks a rule, has no id or has a time or hash of its own."""
        columns = zip(
            *[
                (
                    click.click_id,
                    click.program_id,
                    click.link_id,
                    click.visitor_id,
                    click.ip_address,
                    click.user_agent,
                    click.referrer_url,
                    click.kind,
                    click.ip_hash or click.user_agent_hash or click.HasField("occurred_at"),
                )
                for click in clicks
            ],
            strict=True,
        )
        ids, program_ids, link_ids, visitor_ids, addresses, user_agents, referrers, kinds, irregular = columns
        if (
            any(irregular)
            or not _are_regular(ids, now_ms)
            or not all(program_ids)
            or not all(link_ids)
            or max(map(len, program_ids)) > MAX_PROGRAM_ID_CHARS
            or max(map(len, link_ids)) > MAX_LINK_ID_CHARS
            or max(map(len, visitor_ids)) > MAX_VISITOR_ID_CHARS
            or max(map(len, addresses)) > MAX_IP_ADDRESS_CHARS
            or max(map(len, user_agents)) > MAX_USER_AGENT_CHARS
            or max(map(len, referrers)) > MAX_REFERRER_URL_CHARS
            or not 0 <= min(kinds) <= max(kinds) <= MAX_KIND
            or "\x00" in "".join(visitor_ids)
        ):
            return None
        keys = set(zip(program_ids, link_ids, strict=True))
        if any("\x00" in part for key in keys for part in key):
            return None
        for click, address, user_agent, referrer in zip(clicks, addresses, user_agents, referrers, strict=True):
            if address or user_agent or referrer:
                self._hide(click, address, user_agent, referrer)
        return keys

    def seal(self, click: Click, path: str, now_ms: int) -> None:
        """Changes `click`, which keeps to the contract's rules, to the form in which it is stored.

        Raises INVALID_ARGUMENT, with the field's path below `path`, if it cannot be stored.
        """
        click_id = click.click_id
        if click_id:
            id_ms = int.from_bytes(click_id[:6])
            if len(click_id) != ID_BYTES or click_id[6] >> 4 != 7 or click_id[8] >> 6 != 2:
                raise invalid(f"{path}.click_id", _ID_RULE)
            if not now_ms - _MAX_AGE_MS <= id_ms <= now_ms + _MAX_SKEW_MS:
                raise invalid(f"{path}.click_id", f"the time in it {_TIME_RULE}")
        else:
            click.click_id = new_click_id(now_ms)
        for name, value in (
            ("program_id", click.program_id),
            ("link_id", click.link_id),
            ("visitor_id", click.visitor_id),
        ):
            if "\x00" in value:
                raise invalid(f"{path}.{name}", _ZERO_RULE)
        if click.HasField("occurred_at"):
            _check_time(click.occurred_at, path, now_ms)
        click.ip_hash = click.user_agent_hash = b""
        self._hide(click, click.ip_address, click.user_agent, click.referrer_url)

    def _hide(self, click: Click, ip_address: str, user_agent: str, referrer_url: str) -> None:
        if ip_address:
            hasher = self._ip.copy()
            hasher.update(ip_address.encode())
            click.ip_hash = hasher.digest()
            click.ip_address = ""
        if user_agent:
            click.user_agent_hash, is_of_machine = self._user_agents.get(user_agent) or self._recognise(user_agent)
            click.user_agent = ""
            if is_of_machine:
                click.kind = CLICK_KIND_MACHINE
        if referrer_url:
            host = self._referrer_hosts.get(referrer_url)
            click.referrer_url = self._find_host(referrer_url) if host is None else host

    def _recognise(self, user_agent: str) -> tuple[bytes, bool]:
        """The hash of a user agent, and whether it is a machine's."""
        hasher = self._user_agent.copy()
        hasher.update(user_agent.encode())
        if len(self._user_agents) >= MAX_HELD:
            self._user_agents.clear()
        seen = self._user_agents[user_agent] = hasher.digest(), is_machine(user_agent)
        return seen

    def _find_host(self, referrer_url: str) -> str:
        if len(self._referrer_hosts) >= MAX_HELD:
            self._referrer_hosts.clear()
        host = self._referrer_hosts[referrer_url] = referrer_host(referrer_url)
        return host


def sealed_click(request: RecordClickRequest) -> SealedClick:
    """The click of a request once it is sealed."""
    click = request.click
    # A request with one click and a batch with one click are the same bytes.
    link = (click.program_id, click.link_id)
    return SealedClick(request.SerializeToString(), link, click.click_id, click.kind, clicked_at_us(click))


def clicked_at_us(click: Click) -> int:
    """The time of a sealed click, in microseconds since 1970."""
    if click.HasField("occurred_at"):
        return click.occurred_at.seconds * 1_000_000 + click.occurred_at.nanos // 1000
    return id_time_us(click.click_id)


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


def _are_regular(click_ids: Sequence[bytes], now_ms: int) -> bool:
    """Whether all ids are UUIDv7 of a time that is accepted."""
    if set(map(len, click_ids)) != {ID_BYTES}:
        return False
    joined = b"".join(click_ids)
    if joined[6::ID_BYTES].translate(None, _OF_VERSION_7) or joined[8::ID_BYTES].translate(None, _OF_VARIANT):
        return False
    return _are_timely(min(click_ids), max(click_ids), now_ms)


def _are_timely(oldest_id: bytes, newest_id: bytes, now_ms: int) -> bool:
    """Whether the times in UUIDv7 are accepted, from the oldest to the newest."""
    first_ms, last_ms = int.from_bytes(oldest_id[:6]), int.from_bytes(newest_id[:6])
    return now_ms - _MAX_AGE_MS <= first_ms and last_ms <= now_ms + _MAX_SKEW_MS


def _check_time(occurred_at: Timestamp, path: str, now_ms: int) -> None:
    occurred_ms = occurred_at.seconds * 1000 + occurred_at.nanos // 1_000_000
    if not now_ms - _MAX_AGE_MS <= occurred_ms <= now_ms + _MAX_SKEW_MS:
        raise invalid(f"{path}.occurred_at", _TIME_RULE)
