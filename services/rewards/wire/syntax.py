"""The syntax tree of a compiled condition, as far as a plan's checks ask for it.

The library gives an expression away as bytes only: a `cel.expr.CheckedExpr` of the CEL specification
(proto/cel/expr/checked.proto and syntax.proto). No package on the index has its stubs, and few of its fields are
needed, so the fields are read by number.
"""

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from google.protobuf.any_pb2 import Any
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

_REST_OF_INT64: Final = 1 << 63


class NodeKind(Enum):
    """The kinds of parts that an expression has."""

    CONSTANT = "constant"
    NAME = "name"
    """A variable, by its full name."""
    FIELD = "field"
    """A field, or an entry of a map, of the only part."""
    HAS = "has"
    """The test whether a field or an entry is there (`has`)."""
    CALL = "call"
    """An operator or a function; what it is called on is the first part."""
    LIST = "list"
    STRUCTURE = "structure"
    """A map or a message that is written out; its parts are keys and values."""
    LOOP = "loop"
    """A macro such as `exists` or `map`, by the name of the variable that takes each entry. Its parts: what it goes
    over, what its result is at first, whether it goes on, the result after an entry, the result of all."""
    OTHER = "other"
    """Something that no check asks for."""


class SyntaxNode(NamedTuple):
    """A part of an expression."""

    kind: NodeKind
    name: str = ""
    """The name of a variable, a field, an operator or a function."""
    value: object = None
    """The value of a constant: a bool, an int or a str; None for other kinds of constants. Of a loop: the name by which
    its parts ask for the result so far."""
    parts: tuple["SyntaxNode", ...] = ()
    size: int = 0
    """The length of a constant of bytes."""
    offset: int = 0
    """The place of the part, in characters from the beginning of the text."""

    def walk(self) -> Iterator["SyntaxNode"]:
        """This part and all within it."""
        yield self
        for each in self.parts:
            yield from each.walk()


@lru_cache(256)
def tree_of(serialized: bytes) -> SyntaxNode:
    """The tree of an expression as the library serializes it: an `Any` that holds a CheckedExpr."""
    packed = Any.FromString(serialized)
    checked = _Fields(packed.value)
    offsets: dict[int, int] = {}
    for source in checked.messages(5):
        for entry in source.messages(4):
            offsets[entry.number(1)] = entry.number(2)
    expression = next(checked.messages(4), None)
    return SyntaxNode(NodeKind.OTHER) if expression is None else _node(expression, offsets)


class _Fields:
    """A message of which nothing but the numbers of its fields is known."""

    def __init__(self, content: bytes) -> None:
        unknown = UnknownFieldSet(Empty.FromString(content))
        self._fields = [(each.field_number, each.data) for each in (unknown[index] for index in range(len(unknown)))]

    def has(self, number: int) -> bool:
        return any(each == number for each, _ in self._fields)

    def messages(self, number: int) -> Iterator["_Fields"]:
        return (_Fields(data) for each, data in self._fields if each == number)

    def text(self, number: int) -> str:
        return next((data.decode() for each, data in self._fields if each == number), "")

    def length(self, number: int) -> int:
        return next((len(data) for each, data in self._fields if each == number), 0)

    def number(self, number: int) -> int:
        unsigned: int = next((data for each, data in self._fields if each == number), 0)
        return unsigned - 2 * _REST_OF_INT64 if unsigned >= _REST_OF_INT64 else unsigned


def _node(fields: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    offset = offsets.get(fields.number(2), 0)
    number = next((each for each in _READ if fields.has(each)), 0)
    if not number:
        return SyntaxNode(NodeKind.OTHER, offset=offset)
    return _READ[number](next(fields.messages(number)), offsets)._replace(offset=offset)


def _name(ident: _Fields, _offsets: dict[int, int]) -> SyntaxNode:
    return SyntaxNode(NodeKind.NAME, ident.text(1))


def _field(select: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    return SyntaxNode(
        NodeKind.HAS if select.number(3) else NodeKind.FIELD, select.text(2), parts=_nodes(select, 1, offsets)
    )


def _call(call: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    return SyntaxNode(NodeKind.CALL, call.text(2), parts=(*_nodes(call, 1, offsets), *_nodes(call, 3, offsets)))


def _list(items: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    return SyntaxNode(NodeKind.LIST, parts=_nodes(items, 1, offsets))


def _structure(structure: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    parts = (part for each in structure.messages(2) for key in (3, 4) for part in _nodes(each, key, offsets))
    return SyntaxNode(NodeKind.STRUCTURE, parts=tuple(parts))


def _loop(loop: _Fields, offsets: dict[int, int]) -> SyntaxNode:
    parts = tuple(part for number in (2, 4, 5, 6, 7) for part in _nodes(loop, number, offsets))
    return SyntaxNode(NodeKind.LOOP, loop.text(1), loop.text(3), parts)


def _constant(constant: _Fields, _offsets: dict[int, int]) -> SyntaxNode:
    value: object = constant.text(6) if constant.has(6) else None
    if constant.has(2):
        value = bool(constant.number(2))
    elif constant.has(3):
        value = constant.number(3)
    return SyntaxNode(NodeKind.CONSTANT, value=value, size=constant.length(7))


_READ: Final = {3: _constant, 4: _name, 5: _field, 6: _call, 7: _list, 8: _structure, 9: _loop}
"""The readers, by the number of the field of `cel.expr.Expr` that is set."""


def _nodes(fields: _Fields, number: int, offsets: dict[int, int]) -> tuple[SyntaxNode, ...]:
    return tuple(_node(each, offsets) for each in fields.messages(number))
