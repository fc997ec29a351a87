"""Requests are spoiled: one field at a bound, beyond it, or nonsense; or bytes that are no message."""

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from time import time
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from chassis.sizes import is_map
from tests.fuzz import values
from tests.fuzz.pool import Pool
from tests.fuzz.values import rules_of

TOO_LONG = 0.01
"""How many of the garbled requests are longer than any may be."""
UNKNOWN_FIELD = b"\xfa\xff\x03"
"""The tag of a text that no contract has."""


class Spoiler:
    """Spoils requests."""

    def __init__(self, rng: random.Random, pool: Pool, pages: Mapping[str, Sequence[tuple[bytes, str]]]) -> None:
        self._rng = rng
        self._pool = pool
        self._pages = pages
        """(request, token of the page after its), by method."""

    def spoil(self, request: Message) -> None:
        """Changes one field of a request, wherever in it, to what is at a bound, beyond it, or nonsense."""
        places = list(_places(request))
        if not places:
            return
        # Deep messages have most of their fields far down; what names the program or the call stands at the top.
        own = [place for place in places if place[0] is request]
        message, field = self._rng.choice(own if own and self._rng.random() < 0.4 else places)
        if field.containing_oneof is not None and self._rng.random() < 0.2:
            message.ClearField(field.name)
        elif is_map(field):
            self._spoil_map(message, field)
        elif field.is_repeated:
            self._spoil_list(message, field)
        elif field.message_type is not None:
            self._spoil_message(message, field)
        else:
            setattr(message, field.name, self._hostile(field, rules_of(field).own))

    def _hostile(self, field: FieldDescriptor, rules: Any) -> Any:
        rng = self._rng
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._hostile_string(field, rules)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return rng.random() < 0.5
        if field.type == FieldDescriptor.TYPE_ENUM:
            return rng.choice((0, -1, 1, 2, 3, 99, values.INT32_MAX))
        if field.type == FieldDescriptor.TYPE_BYTES:
            some = (b"", b"\0" * 16, b"\xff" * 16, b"x", b"x" * 17, uuid.uuid4().bytes, values.uuid7(rng, 0).bytes)
            return rng.choice((*some, values.uuid7(rng, (1 << 48) - 1).bytes))
        most = values.INT64_MAX if field.type == FieldDescriptor.TYPE_INT64 else values.INT32_MAX
        return max(-most - 1, min(rng.choice(values.HOSTILE_INTS), most))

    def _hostile_string(self, field: FieldDescriptor, rules: Any) -> str:
        rng = self._rng
        if field.name == "page_token" and rng.random() < 0.8:
            pages = self._pages[rng.choice(list(self._pages))] if self._pages else ()
            token = rng.choice(pages)[1] if pages else "AAAA"
            place = rng.randrange(len(token))
            return rng.choice((token, token[:place], token[:place] + rng.choice("Aя-=\0") + token[place + 1 :]))
        if rng.random() < 0.3:
            other = self._pool.pick_any()
            if isinstance(other, str):
                return other
        return values.hostile_text(rng, rules.string.max_len)

    def _spoil_list(self, message: Message, field: FieldDescriptor) -> None:
        rng, items, bounds = self._rng, getattr(message, field.name), rules_of(field).own.repeated
        draw = rng.random()
        if draw < 0.3 or not items:
            message.ClearField(field.name)
            if field.message_type is None and rng.random() < 0.5:
                items.append(self._hostile(field, bounds.items))
        elif draw < 0.5 and field.message_type is None:
            items[rng.randrange(len(items))] = self._hostile(field, bounds.items)
        elif draw < 0.9:
            items.append(items[rng.randrange(len(items))])
        elif items[0].ByteSize() < 300 if field.message_type is not None else True:
            items.extend([items[0]] * (max(0, (bounds.max_items or 200) - len(items)) + rng.choice((0, 1))))

    def _spoil_map(self, message: Message, field: FieldDescriptor) -> None:
        rng, bounds = self._rng, rules_of(field).own.map
        entries = getattr(message, field.name)
        if rng.random() < 0.2:
            for number in range((bounds.max_pairs or 50) + rng.choice((0, 1))):
                entries[f"key {number}"] = "x"
        else:
            key = values.hostile_text(rng, bounds.keys.string.max_len)
            entries[key] = values.hostile_text(rng, bounds.values.string.max_len)

    def _spoil_message(self, message: Message, field: FieldDescriptor) -> None:
        rng, part = self._rng, getattr(message, field.name)
        kind = field.message_type.full_name
        if rng.random() < 0.2:
            message.ClearField(field.name)
        elif kind in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
            part.seconds = rng.choice(
                (0, 1, -1, int(time()), int(time()) + 240, int(time()) + 400, int(time()) + 10 * values.SECONDS_A_DAY,
                 -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800, values.INT64_MAX,
                 -(2**63), 315_576_000_000, 3_660 * values.SECONDS_A_DAY + 1)
            )  # fmt: skip
            part.nanos = rng.choice((0, 0, 0, 1, -1, 999_999_999, 1_000_000_000, values.INT32_MAX, -(2**31)))
        elif kind == "google.protobuf.FieldMask":
            part.paths.append(
                rng.choice((*values.MASKS, "", "*", "program_id", "currency_code", "policy.", "a.b.c", "x\0"))
            )
        else:
            part.Clear()
            part.SetInParent()

    def garble(self, content: bytes) -> bytes:
        rng = self._rng
        if not content:
            return rng.randbytes(rng.randint(1, 40))
        if rng.random() < TOO_LONG:
            return content + UNKNOWN_FIELD + _varint(5_000_000) + bytes(5_000_000)
        place = rng.randrange(len(content))
        return rng.choice(
            (
                content[:place],
                content[:place] + rng.randbytes(1) + content[place + 1 :],
                content[:place] + rng.randbytes(4) + content[place:],
                content + UNKNOWN_FIELD + b"\x02hi",
                content + content,
            )
        )


def _varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    content = b""
    while number > 127:
        content, number = content + bytes([number & 127 | 128]), number >> 7
    return content + bytes([number])


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field of a message and of the messages in it, set or not."""
    descriptor: Descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        yield message, field
        if field.message_type is None or is_map(field) or field.message_type.file.package == "google.protobuf":
            continue
        if field.is_repeated:
            for each in getattr(message, field.name)[:5]:
                yield from _places(each)
        elif message.HasField(field.name):
            yield from _places(getattr(message, field.name))
