"""The alternatives of a condition: values of its variables that between them take it through everything it can be.

A comparison with a constant depends only on which side of the constant a variable stands: so the constants of a
condition, and the values just beside each, are enough. That holds while a condition is made of such comparisons; one
that asks for more (arithmetic, patterns, one variable against another, loops over lines) is not looked into, and is
taken to be possibly true beside any other.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from services.rewards.domain.plan.condition import OTHER_TEXT, Variable
from services.rewards.wire.syntax import NodeKind, SyntaxNode

_LOGIC: Final = frozenset({"_&&_", "_||_", "!_", "_?_:_"})
_EQUAL: Final = frozenset({"_==_", "_!=_"})
_ORDER: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_TRUTHS: Final = (False, True)
_LARGEST: Final = 2**63 - 1
_INSTANT: Final = timedelta(microseconds=1)


class _NotSimpleError(Exception):
    """The condition asks for more than can be found out by trying values."""


def alternatives(root: SyntaxNode) -> Mapping[Variable, frozenset[object]] | None:
    """Values by variable; None for a condition that is more than comparisons with constants."""
    found: dict[Variable, set[object]] = {}
    try:
        _add_truth(root, found)
    except _NotSimpleError:
        return None
    return {variable: frozenset(values) for variable, values in found.items()}


def _add_truth(node: SyntaxNode, found: dict[Variable, set[object]]) -> None:
    """Adds the values of a part that is true or not."""
    if node.kind is NodeKind.CONSTANT and isinstance(node.value, bool):
        return
    if node.kind is NodeKind.NAME:
        _add(found, (node.name, ""), _TRUTHS)
    elif node.kind is NodeKind.HAS:
        _add(found, _entry(node.parts[0], node.name), (OTHER_TEXT,))
    elif node.kind is NodeKind.CALL and node.name in _LOGIC:
        for part in node.parts:
            _add_truth(part, found)
    elif node.kind is NodeKind.CALL and node.name in _EQUAL | _ORDER and len(node.parts) == 2:
        _add_comparison(node, found)
    elif node.kind is NodeKind.CALL and node.name == "@in" and len(node.parts) == 2:
        _add_membership(*node.parts, found)
    else:
        raise _NotSimpleError


def _add_comparison(node: SyntaxNode, found: dict[Variable, set[object]]) -> None:
    """Adds the values of a variable, or a truth, that is compared with a constant."""
    one, other = node.parts
    if _constant(one) is not None:
        one, other = other, one
    value = _constant(other)
    if value is None or (isinstance(value, str) and node.name not in _EQUAL):
        raise _NotSimpleError
    if isinstance(value, bool):
        _add_truth(one, found)
    else:
        _add(found, _variable(one), _around(value))


def _add_membership(item: SyntaxNode, whole: SyntaxNode, found: dict[Variable, set[object]]) -> None:
    """Adds the values of a variable that is sought in a list of constants, or of a key that is sought in a map."""
    if whole.kind is NodeKind.LIST:
        for each in whole.parts:
            value = _constant(each)
            if value is None or isinstance(value, bool):
                raise _NotSimpleError
            _add(found, _variable(item), _around(value))
        return
    if not isinstance(item.value, str):
        raise _NotSimpleError
    _add(found, _entry(whole, item.value), (OTHER_TEXT,))


def _around(value: object) -> tuple[object, ...]:
    """A constant and what lies beside it."""
    if isinstance(value, datetime):
        return value - _INSTANT, value, value + _INSTANT
    if isinstance(value, int):
        return tuple(each for each in (value - 1, value, value + 1) if abs(each) <= _LARGEST)
    return value, OTHER_TEXT


def _constant(node: SyntaxNode) -> object:
    """The value of a constant, or of a time that is written out; None for anything else."""
    if node.kind is NodeKind.CONSTANT:
        return node.value
    if node.kind is NodeKind.CALL and node.name == "timestamp" and len(node.parts) == 1:
        text = node.parts[0].value
        try:
            moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:  # of nanoseconds, which a datetime does not have
            return None
        return moment if moment is not None and moment.tzinfo is not None else None
    return None


def _variable(node: SyntaxNode) -> Variable:
    if node.kind is NodeKind.NAME:
        return node.name, ""
    if node.kind is NodeKind.FIELD:
        return _entry(node.parts[0], node.name)
    if node.kind is NodeKind.CALL and node.name == "_[_]" and isinstance(node.parts[1].value, str):
        return _entry(node.parts[0], node.parts[1].value)
    raise _NotSimpleError


def _entry(whole: SyntaxNode, key: str) -> Variable:
    """An entry of a map that is a variable. An empty key would make it look like a variable by itself."""
    if whole.kind is not NodeKind.NAME or not key:
        raise _NotSimpleError
    return whole.name, key


def _add(found: dict[Variable, set[object]], variable: Variable, values: Iterable[object]) -> None:
    found.setdefault(variable, set()).update(values)
    if variable[1]:
        found[variable].add(None)  # a map need not have the entry
