"""An order is followed through the logs of all services by its trace."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from upline.attribution.v1 import conversion_pb2

from cli.client import Addresses, Client
from tests.e2e.stacks import Up, up
from tests.e2e.world import World, open_program
from tests.faults.killing import nats_url, postgres_url
from tests.flow import Flow, becomes
from tests.running import DEADLINE_SECONDS

SERVICES = ("attribution", "rewards", "notify")
GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
LOGS = {"UPLINE_LOG_LEVEL": "debug", "UPLINE_LOG_JSON": "true"}

Line = dict[str, Any]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack that logs each step of each order."""
    with up(Path(tmp_path_factory.mktemp("follow")) / "upline", settings=LOGS) as running:
        yield running
        running.stop()


@pytest_asyncio.fixture
async def world(stack: Up) -> AsyncIterator[World]:
    """A program, with vera below maria."""
    async with Client(Addresses(**stack.published["services"])) as client:
        flow = Flow(postgres_url(stack), nats_url(stack))
        world = await open_program(client, flow, "three-levels.yaml", f"follow-{uuid4().hex[:8]}")
        await world.enrol("maria")
        await world.enrol("vera", sponsor_id="maria")
        yield world


def lines_about(stack: Up, program_id: str, conversion_id: str) -> list[Line]:
    """The lines of all services that name the order."""
    found = []
    for service in SERVICES:
        for text in (stack.state / "logs" / f"{service}.log").read_text().splitlines():
            line = json.loads(text) if text.startswith("{") else {}
            if (line.get("program"), line.get("conversion")) == (program_id, conversion_id):
                found.append(line)
    return found


async def told(stack: Up, world: World, conversion_id: str, count: int) -> list[Line]:
    """Those lines, as soon as there are so many."""

    async def number() -> int:
        return len(lines_about(stack, world.program_id, conversion_id))

    await becomes(number, count)
    return lines_about(stack, world.program_id, conversion_id)


def steps(lines: list[Line]) -> dict[tuple[str, str], str]:
    """The trace of each step: (service, what it says)."""
    return {(line["service"], line["event"]): line["trace_id"] for line in lines}


async def record(world: World, conversion_id: str, *metadata: tuple[str, str]) -> None:
    """Records an order of vera's."""
    await world.client.conversions.RecordConversion(
        conversion_pb2.RecordConversionRequest(
            program_id=world.program_id, conversion=world.order(conversion_id, "vera", 10_000)
        ),
        timeout=DEADLINE_SECONDS,
        metadata=metadata,
    )


async def test_the_trace_of_the_caller_is_in_the_logs_of_all_services(stack: Up, world: World) -> None:
    await record(world, "order-1", ("traceparent", f"00-{GIVEN}-00f067aa0ba902b7-01"))
    assert steps(await told(stack, world, "order-1", 3)) == {
        ("attribution", "conversion recorded"): GIVEN,
        ("rewards", "conversion settled"): GIVEN,
        ("notify", "people told"): GIVEN,
    }


async def test_without_one_all_services_name_the_one_that_was_made(stack: Up, world: World) -> None:
    await record(world, "order-2")
    await record(world, "order-3", ("traceparent", "not a trace"))
    second = set(steps(await told(stack, world, "order-2", 3)).values())
    third = set(steps(await told(stack, world, "order-3", 3)).values())
    assert (len(second), len(third), len(second | third)) == (1, 1, 2)


async def test_a_refund_has_the_trace_of_its_own_call(stack: Up, world: World) -> None:
    await record(world, "order-4")
    (made,) = set(steps(await told(stack, world, "order-4", 3)).values())
    await world.client.conversions.ReverseConversion(
        conversion_pb2.ReverseConversionRequest(
            program_id=world.program_id, reversal=world.reversal("refund-4", "order-4")
        ),
        timeout=DEADLINE_SECONDS,
        metadata=(("traceparent", f"00-{GIVEN}-00f067aa0ba902b7-01"),),
    )
    refund = [line for line in await told(stack, world, "order-4", 6) if line["trace_id"] != made]
    assert steps(refund) == {
        ("attribution", "reversal recorded"): GIVEN,
        ("rewards", "reversal settled"): GIVEN,
        ("notify", "people told"): GIVEN,
    }
