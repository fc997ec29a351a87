"""Errors as they are told in logs, and beside messages that were set aside: the fault, never the data being written.

A database repeats rows and parameters in the details of its errors (`Key (…)=(…)`, `Failing row contains (…)`, the line
of a COPY), and SQLAlchemy adds the statement. Any of these may hold a card number or somebody's address.
"""

import traceback
from collections.abc import Iterator

import psycopg
from pydantic import ValidationError
from sqlalchemy.exc import StatementError

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def describe(error: BaseException) -> str:
    """The fault in one line, or the error's kind where the error says nothing."""
    if isinstance(error, StatementError) and error.orig is not None:
        return describe(error.orig)
    kind = type(error).__name__
    if isinstance(error, psycopg.Error):
        lines = (error.diag.message_primary or str(error)).splitlines()
        return f"{kind}: {lines[0]}" if lines else kind
    if isinstance(error, ValidationError):
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
        return f"{kind}: {'; '.join(wrong)}"
    return str(error) or kind


def describe_with_kind(error: BaseException) -> str:
    """The fault in one line, always with the error's kind before it."""
    kind, text = type(error).__name__, describe(error)
    return text if isinstance(error, StatementError) or text.startswith(kind) else f"{kind}: {text}"


def trace(error: BaseException) -> str:
    """The traceback of an error and of those it came from, each error described in one line."""
    return "".join(_lines(error, set())).rstrip("\n")


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield _CAUSE if error.__cause__ is not None else _CONTEXT
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{describe_with_kind(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if id(each) not in seen:
                yield "\nOne of its parts:\n\n"
                yield from _lines(each, seen)
