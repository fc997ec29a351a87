"""Type hints of shapes: the type of a field, the marks on it, and whether it must be given."""

import types
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def split_marks(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its marks and without "or nothing", and the marks."""
    marks: tuple[Any, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            marks += hint.__metadata__
            hint = hint.__origin__
        elif get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
            rest = [each for each in get_args(hint) if each is not type(None)]
            if len(rest) > 1:
                return hint, marks
            hint = rest[0]
        else:
            return hint, marks


@cache
def hints_of(shape: type) -> dict[str, Any]:
    """The type hints of a shape's fields, with their marks."""
    names = {each.name for each in fields(shape)}
    return {name: hint for name, hint in get_type_hints(shape, include_extras=True).items() if name in names}


@cache
def required_fields(shape: type) -> tuple[str, ...]:
    """The fields of a shape that have no default."""
    return tuple(each.name for each in fields(shape) if each.default is MISSING and each.default_factory is MISSING)
