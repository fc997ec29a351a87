"""How many calls of a class are let in at once, and what the others are told."""

import asyncio
from pathlib import Path

import pytest
from google.rpc import code_pb2

from chassis import gates
from chassis.database import SHARES, Work
from chassis.errors import UplineError
from chassis.gates import LIMITS, CallClass, Gate, Limit, classes

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "operate.md"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate with room for one call, and for one that waits."""
    monkeypatch.setattr(gates, "LIMITS", {CallClass.SWEEPING: Limit(1, 1, 60.0, 5.0)})
    return Gate(CallClass.SWEEPING)


async def turns() -> None:
    """Lets everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_waits_in_line_and_one_more_is_refused_at_once(gate: Gate) -> None:
    async def waits() -> str:
        async with gate:
            return "answered"

    async with gate:
        waiting = asyncio.create_task(waits())
        await turns()
        with pytest.raises(UplineError) as caught:
            async with gate:
                raise AssertionError("let in")
        assert not waiting.done()
    assert await waiting == "answered"
    assert (caught.value.code, caught.value.reason) == (code_pb2.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert (caught.value.metadata, caught.value.retry_seconds) == ({"class": "sweeping"}, 5.0)


async def test_who_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LIMITS", {CallClass.SWEEPING: Limit(1, 1, 0.01, 5.0)})
    gate = Gate(CallClass.SWEEPING)
    async with gate:
        for _ in range(2):
            with pytest.raises(UplineError):
                await gate.__aenter__()
    async with gate:
        pass


async def test_calls_that_fail_or_are_given_up_leave_their_room(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError):
        async with gate:
            raise ZeroDivisionError
    async with gate:
        given_up = asyncio.create_task(gate.__aenter__())
        await turns()
        given_up.cancel()
        await turns()
        waiting = asyncio.create_task(gate.__aenter__())
        await turns()
        assert not waiting.done()
    await waiting


def test_a_method_has_one_class() -> None:
    with pytest.raises(ValueError, match="twice"):
        classes({CallClass.ORDINARY: ["A.B"], CallClass.SWEEPING: ["A.B"]})


def test_the_guide_tells_the_limits() -> None:
    section = GUIDE.read_text().split("### Calls at once")[1].split("## Stopping")[0]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in section.splitlines() if line.startswith("|")]
    told = {row[0]: row[2:] for row in rows}
    for name, limit in LIMITS.items():
        assert told[name] == [
            f"{limit.at_once:,}",
            f"{limit.line}",
            f"{limit.wait_seconds:g} s",
            f"{limit.retry_seconds:g} s",
        ]


def test_dear_calls_leave_connections_to_ordinary_ones() -> None:
    dear = sum(LIMITS[each].at_once for each in (CallClass.DECIDING, CallClass.SWEEPING))
    assert SHARES[Work.CALLS].connections - dear >= 4
