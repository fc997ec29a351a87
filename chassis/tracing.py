"""Traces: one id that finds an order in the logs of every service, whoever had it in hand and when.

A caller names the trace in the metadata of a call (`traceparent`, W3C Trace Context); for one that names none, an id is
made. Facts that a call records carry it along in their events. Nothing is looked at, made or kept before somebody asks
for it, for most calls record nothing.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

TRACEPARENT = "traceparent"
_TRACE_ID_BYTES = 16
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""Later versions may say more behind a hyphen (W3C Trace Context, "Versioning of traceparent")."""

Metadata = Iterable[Any]
"""Pairs of names and values, as gRPC has them."""


class _Trace:
    """The trace of one call."""

    __slots__ = ("_read", "_trace_id")

    def __init__(self, read: Callable[[], Metadata | None]) -> None:
        self._read = read
        self._trace_id = ""

    @property
    def trace_id(self) -> str:
        """Its id, which the caller gave or which is made now."""
        if not self._trace_id:
            self._trace_id = _named(self._read() or ()) or secrets.token_hex(_TRACE_ID_BYTES)
        return self._trace_id


_CURRENT: ContextVar[_Trace | None] = ContextVar("trace", default=None)


def begin(read: Callable[[], Metadata | None]) -> None:
    """Begins the trace of a call, for the task that answers it and those which that one starts; `read` gives the
    metadata of the call."""
    _CURRENT.set(_Trace(read))


def current() -> str:
    """The id of the trace that this is done for, 32 hexadecimal digits; empty for what a service does by itself."""
    trace = _CURRENT.get()
    return "" if trace is None else trace.trace_id


def _named(metadata: Metadata) -> str:
    """The trace id that the caller gave; empty where there is none, or what is given is no `traceparent`."""
    for name, value in metadata:
        if name == TRACEPARENT and isinstance(value, str) and (found := _TRACEPARENT.fullmatch(value)):
            return found[1]
    return ""
