"""Plans are read and compiled beside everything else: while one is, other programs are served."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from upline.rewards.v1 import plan_pb2

from services.rewards.rpc import plans as rpc
from services.rewards.store import plans as store
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, three_levels
from tests.running import DEADLINE_SECONDS

HELD_SECONDS = 20.0
"""The time after which a plan that is held up is let go, so that a test whose loop stands still comes to its end."""


class HeldUp:
    """A function that is held up until the test lets it go."""

    def __init__(self, of: Callable[..., Any]) -> None:
        self.entered, self.released = Event(), Event()
        self.was_released = False
        self._of = of

    def __call__(self, *arguments: Any) -> Any:
        self.entered.set()
        self.was_released = self.released.wait(HELD_SECONDS)
        return self._of(*arguments)


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> Iterator[HeldUp]:
    """Holds up a function of a module; lets it go in the end."""
    held = HeldUp(getattr(module, name))
    monkeypatch.setattr(module, name, held)
    try:
        yield held
    finally:
        held.released.set()


async def entered(held: HeldUp) -> None:
    """Waits until the function was called."""
    while not held.entered.is_set():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("publishes", [False, True])
async def test_others_are_served_while_a_plan_is_looked_over(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch, publishes: bool
) -> None:
    other = await published(three_levels())
    program = await published(three_levels())
    plan = three_levels()
    plan.rules[0].amount.per_level.percents[0] = "4"
    with held_up(monkeypatch, rpc, "warning_messages") as held:
        if publishes:
            publication = plan_pb2.PublishPlanRequest(
                request_id=uuid4().hex, program_id=program, plan=plan, currency_code="USD"
            )
            call = ledger.plans.PublishPlan(publication, timeout=DEADLINE_SECONDS)
        else:
            validation = plan_pb2.ValidatePlanRequest(plan=plan, currency_code="USD")
            call = ledger.plans.ValidatePlan(validation, timeout=DEADLINE_SECONDS)
        answer = asyncio.ensure_future(call)
        await entered(held)
        await ledger.settle(message(recorded(other, "c1", 1_000)))
        assert await ledger.available(other, "maria") == [50]
        held.released.set()
        await answer
    assert held.was_released, "the call held the event loop until its time was over"


async def test_others_are_served_while_a_plan_is_compiled(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, program = await published(three_levels()), await published(three_levels())
    await ledger.settle(message(recorded(other, "c1", 1_000)))
    with held_up(monkeypatch, store, "compile_plan") as held:
        settling = asyncio.ensure_future(ledger.settle(message(recorded(program, "c1", 1_000))))
        await entered(held)
        await ledger.settle(message(recorded(other, "c2", 1_000)))
        assert await ledger.available(other, "maria") == [100]
        held.released.set()
        await settling
    assert held.was_released, "settling held the event loop until its time was over"
    assert await ledger.available(program, "maria") == [50]
