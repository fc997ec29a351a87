"""YAML nodes into messages, by their descriptors alone. Every mistake is noted and decoding goes on, so that one run
shows them all."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cli.bundle.names import FILE_NAMES, did_you_mean, enum_prefix, enum_values
from cli.bundle.problems import Position, Problem
from cli.bundle.source import BOOLEAN, FLOAT, INTEGER, NULL, STRING, kind, position_of
from cli.bundle.spans import HINT, parse_span

RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
EMPTY: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: "", FieldDescriptor.CPPTYPE_BOOL: False}
MAX_SPAN_SECONDS = 315_576_000_000
"""The contract's own limit of google.protobuf.Duration: about 10,000 years."""
SET_BY_THE_SERVICE = {"upline.attribution.v1.Program": {"create_time", "update_time"}}
MAX_DEPTH = 50
"""No message of the contracts nests this deep; an alias to its own ancestor does."""


class WrongValueError(Exception):
    """A value that does not fit its field."""


@dataclass(slots=True)
class Decoder:
    """Decodes one file and keeps where each field stands."""

    problems: list[Problem] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)

    def entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Key, key's node and value's node; a key that stands twice is a mistake and is left out the second time."""
        seen: dict[str, Position] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.note(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            if key in seen:
                self.note(key_node, joined(path, key), f"stands twice; first on line {seen[key].line}")
                continue
            seen[key] = position_of(key_node)
            yield key, key_node, value_node

    def note(self, node: yaml.Node, path: str, text: str) -> None:
        """Adds a mistake to those of the file, with its place."""
        self.problems.append(Problem(position_of(node), path, text))

    def message(self, node: yaml.Node, target: Message, path: str, depth: int = 0) -> None:
        """Fills `target` from `node`."""
        self.positions.setdefault(path, position_of(node))
        if depth > MAX_DEPTH:
            self.note(node, path, "nests too deep")
        elif isinstance(target, (Duration, Timestamp)):
            self._well_known(node, target, path)
        elif not isinstance(node, yaml.MappingNode):
            empty = " (an empty one is written {})" if node.tag == NULL else ""
            self.note(node, path, f"expected a mapping{empty}, found {kind(node)}")
        else:
            self._fields(node, target, path, depth)

    def _fields(self, node: yaml.MappingNode, target: Message, path: str, depth: int) -> None:
        descriptor = target.DESCRIPTOR
        read_only = SET_BY_THE_SERVICE.get(descriptor.full_name, set())
        renamed = FILE_NAMES.get(descriptor.full_name, {})
        chosen: dict[str, str] = {}
        for key, key_node, value_node in self.entries(node, path):
            here = joined(path, key)
            known = descriptor.fields_by_name.get(key)
            if known is None:
                offered = [name for name in descriptor.fields_by_name if name not in read_only | renamed.keys()]
                self.note(key_node, here, f"unknown field{did_you_mean(key, offered)}")
            elif key in renamed:
                self.note(key_node, here, f'is called "{renamed[key]}" in a program file')
            elif key in read_only:
                self.note(key_node, here, "is set by the service and cannot be given")
            elif (oneof := known.containing_oneof) is not None and oneof.name in chosen:
                self.note(key_node, here, f"only one of {chosen[oneof.name]} and {key} can be given")
            else:
                if oneof is not None:
                    chosen[oneof.name] = key
                self.positions[here] = position_of(key_node)
                self._field(value_node, target, known, here, depth)

    def _field(self, node: yaml.Node, target: Message, known: Any, path: str, depth: int) -> None:
        if known.message_type is not None and known.message_type.GetOptions().map_entry:
            self._map(node, target, known, path, depth)
        elif known.is_repeated:
            self._list(node, target, known, path, depth)
        elif known.message_type is not None:
            child = getattr(target, known.name)
            child.SetInParent()
            self.message(node, child, path, depth + 1)
        else:
            self._put(node, path, lambda: setattr(target, known.name, scalar(node, known)))

    def _list(self, node: yaml.Node, target: Message, known: Any, path: str, depth: int) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, path, f"expected a list, found {kind(node)}")
            return
        items = getattr(target, known.name)
        for index, item in enumerate(node.value):
            here = f"{path}[{index}]"
            self.positions[here] = position_of(item)
            if known.message_type is not None:
                self.message(item, items.add(), here, depth + 1)
                continue
            try:
                items.append(scalar(item, known))
            except WrongValueError as error:
                self.note(item, here, str(error))
                items.append(
                    EMPTY.get(known.cpp_type, 0)
                )  # takes its place, so that the rules count the others rightly

    def _map(self, node: yaml.Node, target: Message, known: Any, path: str, depth: int) -> None:
        if not isinstance(node, yaml.MappingNode):
            self.note(node, path, f"expected a mapping, found {kind(node)}")
            return
        key_field, value_field = (known.message_type.fields_by_name[name] for name in ("key", "value"))
        entries = getattr(target, known.name)
        for key, key_node, value_node in self.entries(node, path):
            here = f"{path}[{key}]"
            self.positions[here] = position_of(key_node)
            try:
                typed_key = scalar(key_node, key_field)
            except WrongValueError as error:
                self.note(key_node, here, f"key: {error}")
                continue
            if value_field.message_type is not None:
                self.message(value_node, entries[typed_key], here, depth + 1)
            else:
                self._put(
                    value_node, here, lambda k=typed_key, v=value_node: entries.__setitem__(k, scalar(v, value_field))
                )

    def _put(self, node: yaml.Node, path: str, assign: Any) -> None:
        try:
            assign()
        except WrongValueError as error:
            self.note(node, path, str(error))

    def _well_known(self, node: yaml.Node, target: Duration | Timestamp, path: str) -> None:
        try:
            if isinstance(target, Duration):
                fill_duration(node, target)
            else:
                fill_timestamp(node, target)
        except WrongValueError as error:
            self.note(node, path, str(error))


def joined(path: str, name: str) -> str:
    """The path of a field of the message at `path`."""
    return f"{path}.{name}" if path else name


def scalar(node: yaml.Node, known: Any) -> Any:
    """The value of a scalar field. Raises WrongValueError."""
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"expected {_wanted(known)}, found {kind(node)}")
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
            raise WrongValueError(f"expected true or false, found {kind(node)}")
        return node.value.lower() == "true"
    if known.cpp_type in RANGES:
        return _integer(node, *RANGES[known.cpp_type])
    if node.tag not in (INTEGER, FLOAT):
        raise WrongValueError(f"expected a number, found {kind(node)}")
    return float(node.value)


def _string(node: yaml.ScalarNode) -> str:
    # A number keeps its spelling: `percent: 2.50` is the exact decimal "2.50", never a float.
    if node.tag not in (STRING, INTEGER, FLOAT):
        raise WrongValueError(f"expected text, found {kind(node)}; put it in quotes if it is meant")
    if any("\ud800" <= each <= "\udfff" for each in node.value):
        raise WrongValueError("holds half of a surrogate pair, which is no character")
    value: str = node.value
    return value


def _integer(node: yaml.ScalarNode, smallest: int, largest: int) -> int:
    if node.tag != INTEGER:
        raise WrongValueError(f"expected a whole number, found {kind(node)}")
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
    """Reads `30d` and the like. Raises WrongValueError."""
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"{HINT}, found {kind(node)}")
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
    """Reads ISO 8601 with a time zone, to the microsecond. Raises WrongValueError."""
    hint = "expected a time with its zone such as 2026-01-31T09:00:00Z"
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"{hint}, found {kind(node)}")
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
