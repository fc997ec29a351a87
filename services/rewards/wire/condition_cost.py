"""The price of conditions: an upper bound of the steps that its evaluation takes, found from its syntax tree.

The library cannot be interrupted, and bounds neither the texts nor the patterns that a condition works on: within its
10,000 turns of loops, `[x].map(a, a + a)` written 26 times in a row makes a text 67 million times as long. So the bound
is found before anything is evaluated, from the sizes of what is asked about: the greatest that the contracts allow
when a plan is published, those of the conversion at hand for a stored condition that is beyond what is published.

One number bounds time and memory: a step is one part of the expression evaluated once (some 30 ns), or `UNIT` bytes
read or written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from services.rewards.domain.details import MAX_LINES, Line
from services.rewards.wire.pattern_cost import MAX_PATTERN_STEPS, largest_pattern_steps, pattern_steps
from services.rewards.wire.syntax import NodeKind, SyntaxNode

UNIT: Final = 64
"""So many bytes are compared, searched or copied in about the time that a part of an expression takes."""
EVALUATION_STEPS: Final = 100
"""The steps of an evaluation by itself: its variables are gathered, the library is entered and left."""
MAX_TURNS: Final = 10_000
"""The turns of loops after which the library ends an evaluation, as an error."""
MAX_STEPS: Final = 10**12
"""The number at which counting stops: nothing near it is ever evaluated."""
_LINE_STEPS: Final = 100
"""To hand a line to the library."""
_LINE_ENTRY_STEPS: Final = 15
_ENTRY_STEPS: Final = 5
"""To hand an entry of a map to the library."""
_MAX_TEXT_BYTES: Final = 1_024
"""256 characters of four bytes: no text is longer that a condition may ask for."""
_MAX_ENTRIES: Final = 50
_MAX_LINE_ENTRIES: Final = 20
_COPIED_ENTRY_BYTES: Final = 40
"""The memory of an entry of a list. Each turn of `map` and `filter` makes the list anew, with one entry more: that
takes next to no time, but the lists stay until the evaluation ends."""
_CONVERTED_UNITS: Final = 9
"""The length of a number or a time as a text, at most."""


class Shape(NamedTuple):
    """The size of a value, at most."""

    units: int = 1
    """The steps to read all of it: 1, and for a text its length in units, for a list or map its entries'."""
    entries: int = 0
    """The entries of a list or map."""
    entry: "Shape | None" = None
    """The largest entry of a list or key of a map; None for what has none."""
    value: "Shape | None" = None
    """The largest value of a map of variables, or of a line's texts; None for what has none."""
    attributes: "Shape | None" = None
    """A line's attributes; None for what has none."""
    pattern_steps: int = MAX_PATTERN_STEPS
    """The steps to read a text as a pattern."""
    input_steps: int = 1
    """The steps to hand it to the library, if it is a variable's."""


def _text_shape(text: str) -> Shape:
    return Shape(1 + -(-len(text.encode()) // UNIT), pattern_steps=largest_pattern_steps(text))


class _Same:
    """A value that equals itself only: what it holds need not be hashable, and is not looked at to find it again."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


def shape_of(value: object) -> Shape:
    """The shape of a variable's value. Those of lines and maps are kept for the conditions that ask for them next."""
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return _kept_shape(_Same(value))
    return _shape(value)


@lru_cache(16)
def _kept_shape(same: _Same) -> Shape:
    return _shape(same.value)


def _shape(value: object) -> Shape:
    if isinstance(value, str):
        return _text_shape(value)
    if isinstance(value, Line):
        return _line_shape(value)
    if isinstance(value, Mapping):
        keys, values = _largest(map(_shape, value)), _largest(map(_shape, value.values()))
        return _map_shape(len(value), keys, values, _ENTRY_STEPS)
    if isinstance(value, Sequence):
        different = {id(each): each for each in value}.values()
        return _list_shape(len(value), _largest(map(_shape, different)))
    return SCALAR


def _line_shape(line: Line) -> Shape:
    attributes = _shape(line.attributes)
    texts = _largest(map(_text_shape, (line.line_id, line.sku, line.category)))
    return _message_shape(attributes, texts)


def _message_shape(attributes: Shape, texts: Shape) -> Shape:
    steps = _LINE_STEPS + _LINE_ENTRY_STEPS * attributes.entries
    return Shape(1 + attributes.units + 4 * texts.units, value=texts, attributes=attributes, input_steps=steps)


def _map_shape(entries: int, keys: Shape, values: Shape, input_steps: int) -> Shape:
    return Shape(
        1 + entries * (keys.units + values.units), entries, keys, values, input_steps=1 + entries * input_steps
    )


def _list_shape(entries: int, entry: Shape) -> Shape:
    return Shape(1 + entries * entry.units, entries, entry, input_steps=1 + entries * entry.input_steps)


def _larger(one: Shape, other: Shape) -> Shape:
    """A shape that is as large as each of both in every way."""
    if one is other:
        return one
    return Shape(
        max(one.units, other.units),
        max(one.entries, other.entries),
        _larger_part(one.entry, other.entry),
        _larger_part(one.value, other.value),
        _larger_part(one.attributes, other.attributes),
        max(one.pattern_steps, other.pattern_steps),
        max(one.input_steps, other.input_steps),
    )


def _larger_part(one: Shape | None, other: Shape | None) -> Shape | None:
    return one or other if one is None or other is None else _larger(one, other)


def _largest(shapes: Iterable[Shape]) -> Shape:
    found = None
    for each in shapes:
        found = _larger_part(found, each)
    return found or _NOTHING


_NOTHING: Final = Shape(pattern_steps=0)
SCALAR: Final = _NOTHING
"""A number, a truth or a time."""
LARGEST_TEXT: Final = Shape(1 + _MAX_TEXT_BYTES // UNIT)
LARGEST_TEXTS: Final = _map_shape(_MAX_ENTRIES, LARGEST_TEXT, LARGEST_TEXT, _ENTRY_STEPS)
LARGEST_LINE: Final = _message_shape(_map_shape(_MAX_LINE_ENTRIES, LARGEST_TEXT, LARGEST_TEXT, 0), LARGEST_TEXT)
LARGEST_LINES: Final = _list_shape(MAX_LINES, LARGEST_LINE)


class ConditionCost(NamedTuple):
    """The most that an evaluation takes; MAX_STEPS stands for as many or more."""

    steps: int
    """The parts evaluated and units worked on, where the library stops a loop after MAX_TURNS."""
    turns: int
    """The turns of all loops, if the library did not stop them."""
    built: int
    """The units that are built at most: no part of the expression builds more than one without a step for each."""


def cost_of(root: SyntaxNode, shapes: Mapping[str, Shape]) -> ConditionCost:
    """The cost of an evaluation with variables of these shapes."""
    estimate = _Estimate(shapes)
    estimate.of(root)
    steps = EVALUATION_STEPS + sum(each.input_steps for each in shapes.values()) + estimate.steps
    built = estimate.steps + estimate.copied
    return ConditionCost(min(steps, MAX_STEPS), min(estimate.turns, MAX_STEPS), min(built, MAX_STEPS))


class _Estimate:
    """The estimate of one expression with variables of certain shapes."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = dict(shapes)
        self._times = 1
        """How often the part at hand is evaluated."""
        self.steps = 0
        self.turns = 0
        self.copied = 0
        """The units of lists that were made anew for each entry."""

    def of(self, node: SyntaxNode) -> Shape:
        """The shape of what comes out of a part. Counts what it takes."""
        if node.kind is NodeKind.LOOP:
            return self._loop(node)
        shapes = [self.of(each) for each in node.parts]
        self._count(1 + _work(node, shapes))
        if node.kind is NodeKind.CONSTANT:
            return _constant_shape(node)
        return self._shapes.get(node.name, SCALAR) if node.kind is NodeKind.NAME else _result(node, shapes)

    def _count(self, steps: int) -> None:
        self.steps += min(self._times, MAX_TURNS) * steps

    def _loop(self, node: SyntaxNode) -> Shape:
        over, first = self.of(node.parts[0]), self.of(node.parts[1])
        before, times, so_far = dict(self._shapes), self._times, str(node.value)
        self._times = min(times * over.entries, MAX_STEPS)
        self.turns += self._times
        self._shapes[node.name] = over.entry or over
        self._shapes[so_far] = first
        self.of(node.parts[2])
        step = self.of(_without_growth(node.parts[3], so_far))
        if _grows(node.parts[3], so_far):
            self._shapes[so_far] = _gathered(step, over.entries)
            self.copied += min(self._times, MAX_TURNS) * over.entries * _COPIED_ENTRY_BYTES // (2 * UNIT)
        elif step.units > first.units:  # what no macro there is does
            self._count(MAX_STEPS)
        self._count(1)
        self._times = times
        result = self.of(node.parts[4])
        self._shapes = before
        return result


def _grows(step: SyntaxNode, so_far: str) -> bool:
    """Whether a step of a loop puts an entry behind those so far, as `map` and `filter` do."""
    if step.kind is NodeKind.CALL and step.name == "_?_:_":
        return any(_grows(each, so_far) for each in step.parts[1:])
    is_sum = step.kind is NodeKind.CALL and step.name == "_+_"
    return is_sum and step.parts[0].name == so_far and step.parts[1].kind is NodeKind.LIST


def _without_growth(step: SyntaxNode, so_far: str) -> SyntaxNode:
    """A step of a loop with what it puts behind those so far instead of the sum: the library copies none of them."""
    if step.kind is NodeKind.CALL and step.name == "_?_:_":
        return step._replace(parts=(step.parts[0], *(_without_growth(each, so_far) for each in step.parts[1:])))
    return step.parts[1] if _grows(step, so_far) else step


def _gathered(added: Shape, turns: int) -> Shape:
    """The list that a loop makes of what each turn adds to it: a list of one entry."""
    return added._replace(units=min(1 + turns * added.units, MAX_STEPS), entries=turns * added.entries)


def _constant_shape(node: SyntaxNode) -> Shape:
    if isinstance(node.value, str):
        return _text_shape(node.value)._replace(pattern_steps=pattern_steps(node.value))
    return Shape(1 + -(-node.size // UNIT), pattern_steps=0)


def _listed(shapes: Sequence[Shape]) -> Shape:
    """Values as entries of a list, or as keys and values of a map."""
    entry = _largest(shapes)
    return Shape(min(1 + sum(each.units for each in shapes), MAX_STEPS), len(shapes), entry)


def _joined(shapes: Sequence[Shape]) -> Shape:
    """Values put together to one: numbers stay as they are, of texts and lists it has all that each of them has."""
    units = 1 + sum(each.units - 1 for each in shapes)
    entries = sum(each.entries for each in shapes)
    # Two halves that are harmless may be a costly pattern together.
    parts = _largest(shapes)._replace(pattern_steps=MAX_PATTERN_STEPS)
    return parts._replace(units=min(units, MAX_STEPS), entries=min(entries, MAX_STEPS))


def _part_of(whole: Shape, name: str = "") -> Shape:
    """An entry or a field of a value: no larger than all of it."""
    part = _larger_part(whole.value, whole.attributes if name == "attributes" else None)
    return _larger_part(part, whole.entry) or whole


_FREE: Final = frozenset({"_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false", "dyn", "type"})
"""Operators and functions that take no longer for larger values."""
_EQUALITY: Final = frozenset({"_==_", "_!=_"})
_PLAIN: Final = frozenset((
    "_&&_", "_||_", "!_", "@not_strictly_false", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_-_", "-_", "_*_",
    "_/_", "_%_", "@in", "size", "startsWith", "endsWith", "contains", "matches", "int", "uint", "double", "bool",
    "timestamp", "duration", "type", "getFullYear", "getMonth", "getDayOfMonth", "getDate", "getDayOfYear",
    "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
))  # fmt: skip
"""Operators and functions that come to a number, a truth or a time, whatever it is of."""


def _work(node: SyntaxNode, shapes: Sequence[Shape]) -> int:
    """The steps of a part besides its parts and one. A function that is not known reads all of its arguments."""
    if node.kind is not NodeKind.CALL or node.name in _FREE:
        return 0
    if node.name in _EQUALITY:
        # Nothing is compared beyond the end of the smaller value; a map looks its keys up in the other one.
        return 2 * min(each.units for each in shapes)
    if node.name in _WORK:
        return _WORK[node.name](shapes[0], shapes[-1])
    return sum(each.units for each in shapes)


def _result(node: SyntaxNode, shapes: Sequence[Shape]) -> Shape:
    """The shape of what comes out of a part. A function that is not known may put all its arguments together."""
    if node.kind is not NodeKind.CALL:
        if node.kind is NodeKind.FIELD:
            return _part_of(shapes[0], node.name)
        return SCALAR if node.kind is NodeKind.HAS else _listed(shapes)
    if node.name in _RESULTS:
        return _RESULTS[node.name](shapes)
    return SCALAR if node.name in _PLAIN else _joined(shapes)


_WORK: Final[Mapping[str, Callable[[Shape, Shape], int]]] = {
    "_[_]": lambda _whole, key: key.units,
    "@in": lambda item, whole: item.units + whole.entries * min(item.units, (whole.entry or whole).units),
    "size": lambda whole, _same: 0 if whole.entries else whole.units,
    # At worst, all of what is sought is compared at every place.
    "contains": lambda text, sought: 4 * text.units * sought.units,
    "matches": lambda text, pattern: pattern.pattern_steps + text.units * (1 + pattern.pattern_steps // 16),
}
"""The steps of functions and operators besides one, by their first and their last argument."""
_RESULTS: Final[Mapping[str, Callable[[Sequence[Shape]], Shape]]] = {
    "_[_]": lambda shapes: _part_of(shapes[0]),
    "_?_:_": lambda shapes: _larger(shapes[1], shapes[2]),
    "dyn": lambda shapes: shapes[0],
    "string": lambda shapes: _larger(shapes[0], Shape(_CONVERTED_UNITS)),
    "bytes": lambda shapes: shapes[0],
}
"""The results of functions and operators that give back one of their arguments or a part of it."""
