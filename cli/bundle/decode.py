"""YAML nodes into messages, by their descriptors alone. Every mistake is noted and decoding goes on, so that one run
shows them all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cli.bundle.names import FILE_NAMES, did_you_mean
from cli.bundle.problems import Position, Problem
from cli.bundle.scalars import WrongValueError, fill_duration, fill_timestamp, read_scalar
from cli.bundle.source import NULL, kind_of, position_of

EMPTY: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: "", FieldDescriptor.CPPTYPE_BOOL: False}
SET_BY_THE_SERVICE = {"upline.attribution.v1.Program": {"create_time", "update_time"}}
MAX_DEPTH = 50
"""A depth that no message of the contracts has; an alias to its own ancestor has it."""


@dataclass(slots=True)
class Decoder:
    """Decodes one file and keeps where each field stands."""

    problems: list[Problem] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)

    def entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Each key with its node and the node of its value; a key that stands twice is a mistake, and left out then."""
        seen: dict[str, Position] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.note(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            if key in seen:
                self.note(key_node, join_path(path, key), f"stands twice; first on line {seen[key].line}")
                continue
            seen[key] = position_of(key_node)
            yield key, key_node, value_node

    def note(self, node: yaml.Node, path: str, text: str) -> None:
        """Adds a mistake to those of the file, with its place."""
        self.problems.append(Problem(position_of(node), path, text))

    def message(self, node: yaml.Node, target: Message, path: str, depth: int = 0) -> None:
        """Fills the message `target` from `node`."""
        self.positions.setdefault(path, position_of(node))
        if depth > MAX_DEPTH:
            self.note(node, path, "nests too deep")
        elif isinstance(target, (Duration, Timestamp)):
            self._well_known(node, target, path)
        elif not isinstance(node, yaml.MappingNode):
            empty = " (an empty one is written {})" if node.tag == NULL else ""
            self.note(node, path, f"expected a mapping{empty}, found {kind_of(node)}")
        else:
            self._fields(node, target, path, depth)

    def _fields(self, node: yaml.MappingNode, target: Message, path: str, depth: int) -> None:
        descriptor = target.DESCRIPTOR
        read_only = SET_BY_THE_SERVICE.get(descriptor.full_name, set())
        renamed = FILE_NAMES.get(descriptor.full_name, {})
        chosen: dict[str, str] = {}
        for key, key_node, value_node in self.entries(node, path):
            here = join_path(path, key)
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
            self._put(node, path, lambda: setattr(target, known.name, read_scalar(node, known)))

    def _list(self, node: yaml.Node, target: Message, known: Any, path: str, depth: int) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, path, f"expected a list, found {kind_of(node)}")
            return
        items = getattr(target, known.name)
        for index, item in enumerate(node.value):
            here = f"{path}[{index}]"
            self.positions[here] = position_of(item)
            if known.message_type is not None:
                self.message(item, items.add(), here, depth + 1)
                continue
            try:
                items.append(read_scalar(item, known))
            except WrongValueError as error:
                self.note(item, here, str(error))
                items.append(
                    EMPTY.get(known.cpp_type, 0)
                )  # stands in for it, so that the rules count the others rightly

    def _map(self, node: yaml.Node, target: Message, known: Any, path: str, depth: int) -> None:
        if not isinstance(node, yaml.MappingNode):
            self.note(node, path, f"expected a mapping, found {kind_of(node)}")
            return
        key_field, value_field = (known.message_type.fields_by_name[name] for name in ("key", "value"))
        entries = getattr(target, known.name)
        for key, key_node, value_node in self.entries(node, path):
            here = f"{path}[{key}]"
            self.positions[here] = position_of(key_node)
            try:
                typed_key = read_scalar(key_node, key_field)
            except WrongValueError as error:
                self.note(key_node, here, f"key: {error}")
                continue
            if value_field.message_type is not None:
                self.message(value_node, entries[typed_key], here, depth + 1)
            else:
                self._put(
                    value_node,
                    here,
                    lambda k=typed_key, v=value_node: entries.__setitem__(k, read_scalar(v, value_field)),
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


def join_path(path: str, name: str) -> str:
    """The path of a field of the message at `path`."""
    return f"{path}.{name}" if path else name
