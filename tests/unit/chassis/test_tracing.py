"""Which trace a call belongs to."""

import asyncio
import re

import pytest

from chassis import tracing

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"


async def trace_of(*metadata: tuple[str, str | bytes]) -> str:
    """The trace of a call with that metadata, asked for twice."""
    tracing.begin(lambda: metadata)
    first = tracing.current()
    assert await asyncio.create_task(_current()) == first
    return first


async def _current() -> str:
    return tracing.current()


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{GIVEN}-00f067aa0ba902b7-01",
        f"00-{GIVEN}-00f067aa0ba902b7-00",
        f"cc-{GIVEN}-00f067aa0ba902b7-01-what-a-later-version-says",
    ],
)
async def test_the_callers_trace_is_taken(traceparent: str) -> None:
    assert await trace_of(("user-agent", "x"), ("traceparent", traceparent)) == GIVEN


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        GIVEN,
        f"00-{GIVEN}",
        f"ff-{GIVEN}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{GIVEN}-{'0' * 16}-01",
        f"00-{GIVEN.upper()}-00f067aa0ba902b7-01",
        f"00-{GIVEN}-00f067aa0ba902b7-01\n",
        f"00-{GIVEN[:-1]}\u0663-00f067aa0ba902b7-01",
    ],
)
async def test_what_is_no_trace_is_replaced(traceparent: str) -> None:
    made = await trace_of(("traceparent", traceparent))
    assert made != GIVEN
    assert re.fullmatch("[0-9a-f]{32}", made)


async def test_each_call_without_a_trace_gets_one_of_its_own() -> None:
    assert await asyncio.create_task(trace_of()) != await asyncio.create_task(trace_of())


async def test_what_no_call_is_behind_has_none() -> None:
    assert tracing.current() == ""
