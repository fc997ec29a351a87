"""Messages as plain values that YAML and JSON can write and `decode` reads back: whole numbers, short enum names,
`30d`, ISO 8601."""

import base64
from datetime import UTC
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cli.bundle.names import FILE_NAMES, short_name
from cli.bundle.spans import format_span


def plain_values(message: Message, *, defaults: bool = False) -> Any:
    """The message as dicts, lists and scalars; with `defaults`, unset fields too (but no absent messages)."""
    if isinstance(message, Duration):
        return format_span(message.seconds * 10**9 + message.nanos)
    if isinstance(message, Timestamp):
        return message.ToDatetime(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    given = {known.name for known, _value in message.ListFields()}
    renamed = FILE_NAMES.get(message.DESCRIPTOR.full_name, {})
    return {
        renamed.get(known.name, known.name): _field(message, known, defaults)
        for known in message.DESCRIPTOR.fields
        if known.name in given or (defaults and not known.has_presence)
    }


def _field(message: Message, known: Any, defaults: bool) -> Any:
    value = getattr(message, known.name)
    if known.message_type is not None and known.message_type.GetOptions().map_entry:
        entry = known.message_type.fields_by_name["value"]
        return {key: _one(value[key], entry, defaults) for key in sorted(value)}
    if known.is_repeated:
        return [_one(each, known, defaults) for each in value]
    return _one(value, known, defaults)


def _one(value: Any, known: Any, defaults: bool) -> Any:
    if known.message_type is not None:
        return plain_values(value, defaults=defaults)
    if known.enum_type is not None:
        return short_name(known.enum_type, value)
    if known.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    return value
