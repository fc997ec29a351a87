"""Scalars of a file as values of fields: numbers, texts, names of enumerations, durations and times."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from cli.bundle.names import did_you_mean, enum_prefix, enum_values
from cli.bundle.source import BOOLEAN, FLOAT, INTEGER, NULL, STRING, kind_of
from cli.bundle.spans import HINT, parse_span

RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
MAX_SPAN_SECONDS = 315_576_000_000
"""The contract's own limit of google.protobuf.Duration: about 10,000 years."""


class WrongValueError(Exception):
    """A value that does not fit its field."""


def read_scalar(node: yaml.Node, known: Any) -> Any:
    """The value of a scalar field. Raises WrongValueError."""
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"expected {_wanted(known)}, found {kind_of(node)}")
    if node.tag == NULL:
        raise WrongValueError(f"has no value; expected {_wanted(known)}")
    if known.enum_type is not None:
        return _enum(node, known)
    if known.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(node)
    if known.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _string(node)
    if known.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if node.tag != BOOLEAN:
            raise WrongValueError(f"expected true or false, found {kind_of(node)}")
        return node.value.lower() == "true"
    if known.cpp_type in RANGES:
        return _integer(node, *RANGES[known.cpp_type])
    if node.tag not in (INTEGER, FLOAT):
        raise WrongValueError(f"expected a number, found {kind_of(node)}")
    return float(node.value)


def _string(node: yaml.ScalarNode) -> str:
    # A number keeps its spelling: `percent: 2.50` is the exact decimal "2.50", never a float.
    if node.tag not in (STRING, INTEGER, FLOAT):
        raise WrongValueError(f"expected text, found {kind_of(node)}; put it in quotes if it is meant")
    if any("\ud800" <= each <= "\udfff" for each in node.value):
        raise WrongValueError("holds half of a surrogate pair, which is no character")
    value: str = node.value
    return value


def _integer(node: yaml.ScalarNode, smallest: int, largest: int) -> int:
    if node.tag != INTEGER:
        raise WrongValueError(f"expected a whole number, found {kind_of(node)}")
    if len(node.value) > 20 or not smallest <= int(node.value) <= largest:
        raise WrongValueError(f"must lie between {smallest} and {largest}")
    return int(node.value)


def _enum(node: yaml.ScalarNode, known: Any) -> int:
    values = enum_values(known.enum_type)
    if node.value.upper() in values:
        return values[node.value.upper()]
    prefix = enum_prefix(known.enum_type)
    offered = [each.name.removeprefix(prefix) for each in known.enum_type.values if each.number != 0]
    raise WrongValueError(f'"{node.value}" is not one of {", ".join(offered)}{_closest(node.value, offered)}')


def _closest(text: str, offered: list[str]) -> str:
    hint = did_you_mean(text.upper(), offered)
    return hint if "did you mean" in hint else ""


def _bytes(node: yaml.ScalarNode) -> bytes:
    try:
        return base64.b64decode(node.value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongValueError("expected bytes in base 64") from error


def fill_duration(node: yaml.Node, target: Duration) -> None:
    """Reads a duration such as `30d`. Raises WrongValueError."""
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"{HINT}, found {kind_of(node)}")
    try:
        nanos = parse_span(node.value)
    except ValueError as error:
        raise WrongValueError(str(error)) from error
    sign = -1 if nanos < 0 else 1
    seconds, rest = divmod(abs(nanos), 10**9)
    if seconds > MAX_SPAN_SECONDS:
        raise WrongValueError("is longer than 10,000 years")
    target.seconds, target.nanos = sign * seconds, sign * rest


def fill_timestamp(node: yaml.Node, target: Timestamp) -> None:
    """Reads a time in ISO 8601 with its zone, to the microsecond. Raises WrongValueError."""
    hint = "expected a time with its zone such as 2026-01-31T09:00:00Z"
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"{hint}, found {kind_of(node)}")
    try:
        moment = datetime.fromisoformat(node.value)
    except ValueError as error:
        raise WrongValueError(hint) from error
    if moment.tzinfo is None:
        raise WrongValueError(f"{hint}; this one names no zone")
    try:
        target.FromDatetime(moment.astimezone(UTC))
    except (OverflowError, ValueError) as error:
        raise WrongValueError("lies outside the years 1 to 9999") from error


def _wanted(known: Any) -> str:
    if known.enum_type is not None:
        return "a name"
    names = {FieldDescriptor.CPPTYPE_STRING: "text", FieldDescriptor.CPPTYPE_BOOL: "true or false"}
    return names.get(known.cpp_type, "a whole number" if known.cpp_type in RANGES else "a number")
