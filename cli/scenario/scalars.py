"""Scalars of a scenario file as values: texts, numbers, amounts and moments."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import yaml
from google.protobuf.timestamp_pb2 import Timestamp

from cli.bundle.scalars import WrongValueError, fill_timestamp
from cli.bundle.source import BOOLEAN, FLOAT, INTEGER, NULL, STRING, kind_of
from cli.bundle.spans import HINT, parse_span

_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


def read_scalar(node: yaml.Node, wanted: Any) -> Any:
    """The value of a scalar of the type that is wanted. Raises WrongValueError."""
    names: dict[Any, str] = {bool: "true or false", int: "a whole number", Decimal: "an amount such as 12.50"}
    if not isinstance(node, yaml.ScalarNode) or node.tag == NULL:
        raise WrongValueError(f"expected {names.get(wanted, 'text')}, found {kind_of(node)}")
    if get_origin(wanted) is Literal:
        if node.value not in get_args(wanted):
            raise WrongValueError(f'"{node.value}" is not one of {", ".join(filter(None, get_args(wanted)))}')
        return node.value
    return _SCALARS[wanted](node)


def _text(node: yaml.ScalarNode) -> str:
    # A number keeps its spelling, as in program files.
    if node.tag not in (STRING, INTEGER, FLOAT):
        raise WrongValueError(f"expected text, found {kind_of(node)}; put it in quotes if it is meant")
    return str(node.value)


def _boolean(node: yaml.ScalarNode) -> bool:
    if node.tag != BOOLEAN:
        raise WrongValueError(f"expected true or false, found {kind_of(node)}")
    return bool(node.value.lower() == "true")


def _integer(node: yaml.ScalarNode) -> int:
    if node.tag != INTEGER or len(node.value) > 18:
        raise WrongValueError(f"expected a whole number, found {kind_of(node)}")
    return int(node.value)


def _decimal(node: yaml.ScalarNode) -> Decimal:
    if not _DECIMAL.fullmatch(node.value):
        raise WrongValueError(f'expected an amount such as 12.50, found "{node.value}"')
    return Decimal(node.value)


def _time(node: yaml.ScalarNode) -> datetime:
    stamp = Timestamp()
    fill_timestamp(node, stamp)
    return stamp.ToDatetime(tzinfo=UTC)


_SCALARS: dict[Any, Callable[[yaml.ScalarNode], Any]] = {
    str: _text, bool: _boolean, int: _integer, Decimal: _decimal, datetime: _time,
}  # fmt: skip


def read_moment(node: yaml.Node) -> timedelta | datetime:
    """`+3d`, counted from the scenario's start, or a time with its zone. Raises WrongValueError."""
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValueError(f"expected +3d or a time, found {kind_of(node)}")
    if "T" in node.value and "-" in node.value:
        return _time(node)
    try:
        return timedelta(microseconds=parse_span(node.value.removeprefix("+")) // 1000)
    except (ValueError, OverflowError) as error:
        text = f"{HINT}, counted from the start, or a time with its zone" if HINT in str(error) else str(error)
        raise WrongValueError(text) from error
