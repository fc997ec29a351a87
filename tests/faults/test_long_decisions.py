"""Conversions that take long to decide are decided apart: nobody else waits for them, and the event loop goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from upline.rewards.v1 import plan_pb2, reward_pb2

from bench import worst_plans
from chassis.apart import ApartQueue, TakesLongError
from chassis.consumer import Consumer, SomeFailedError
from chassis.dead_letters import DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from services.rewards.commands import settle as settling
from services.rewards.consumer import ConversionEvents
from services.rewards.domain.settle import counting
from tests.flow import becomes
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, reversed_, three_levels
from tests.loop_watch import watched_loop
from tests.running import DEADLINE_SECONDS, Running

SPEC = StreamSpec("LONG_TEST", "long.test", ("long_test",), 10 * 1024 * 1024)
HELD_SECONDS = 20.0
"""The time after which a decision that is held up is let go: a test whose loop stands still comes to its end."""
PATIENCE_SECONDS = 120.0
"""The deadline of calls about the worst plans: nothing is asserted about how long they take."""
MOST_SECONDS = 0.25
"""The promise is 50 ms, on a processor of its own."""
TOWER = tuple(f"t{level}" for level in range(64))


class HeldDecisions:
    """Decisions on conversions of one program, held up until the test lets them go."""

    def __init__(self, program_id: str) -> None:
        self.entered, self.released = threading.Event(), threading.Event()
        self.was_released = True
        self._program_id = program_id
        self._accrue = counting.accrue

    def __call__(self, plan: Any, conversion: Any, *others: Any) -> Any:
        if conversion.program_id == self._program_id:
            self.entered.set()
            self.was_released &= self.released.wait(HELD_SECONDS)
        return self._accrue(plan, conversion, *others)


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch, program_id: str) -> Iterator[HeldDecisions]:
    """Holds decisions up; lets them go in the end."""
    held = HeldDecisions(program_id)
    monkeypatch.setattr(counting, "accrue", held)
    try:
        yield held
    finally:
        held.released.set()


Publish = Callable[..., Any]


@pytest_asyncio.fixture
async def publish(rewards: Running, broker: Stream) -> AsyncIterator[Publish]:
    """Publishes messages on a stream of the test's own, which the rewards service settles meanwhile."""
    await broker.ensure(SPEC)
    deps = replace(rewards.service.deps, apart=ApartQueue())
    events = ConversionEvents(deps)
    consumer = Consumer(
        broker, SPEC, "long_test", events.handle, DeadLetters(deps.database), handle_apart=events.handle_apart,
        apart=deps.apart,
    )  # fmt: skip
    work = asyncio.create_task(consumer.run())

    async def publish_all(*payloads: bytes) -> None:
        for each in payloads:
            await broker.publish(Message(SPEC.subject, uuid4().hex, "test", each))

    yield publish_all
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def large(program_id: str, conversion_id: str, lines: int = 1) -> bytes:
    """A conversion from the foot of a tree as high as there may be."""
    event = recorded(program_id, conversion_id, worst_plans.LINE_MINOR * lines, upline=TOWER)
    event.recorded.conversion.draft.lines.extend(worst_plans.large_order("c", "b", lines).lines)
    for each in event.recorded.upline:
        each.attributes.update({f"k{number}": "v" * 60 for number in range(49)} | {"rank": "rank-0"})
    return message(event)


async def test_an_order_behind_one_that_takes_long_is_settled_meanwhile(
    ledger: Ledger,
    published: Published,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, quick = await published(worst_plans.costly_conditions()), await published(three_levels())
    with held_up(monkeypatch, slow) as held:
        await publish(*(large(slow, f"o{number}") for number in range(3)), message(recorded(quick, "o1", 1_000)))
        await becomes(lambda: ledger.available(quick, "maria"), [50])
        await publish(message(recorded(quick, "o2", 1_000)))
        await becomes(lambda: ledger.available(quick, "maria"), [100])
        assert held.entered.is_set()
        held.released.set()
        await becomes(lambda: ledger.available(slow, "t0"), [3 * 20 * worst_plans.COSTLY_CONDITIONS])
    assert held.was_released, "the event loop stood still until its time was over"
    assert (await ledger.audit(slow)).balanced


async def test_facts_of_the_program_that_come_meanwhile_wait_behind_those_before_them(
    ledger: Ledger,
    published: Published,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, quick = await published(worst_plans.costly_conditions()), await published(three_levels())

    async def settled_count() -> int:
        request = reward_pb2.GetProgramTotalsRequest(program_id=slow)
        return (await ledger.reader.GetProgramTotals(request, timeout=DEADLINE_SECONDS)).conversion_count

    with held_up(monkeypatch, slow) as held:
        await publish(large(slow, "o1"))
        await publish(message(reversed_(slow, "o1", "r1", worst_plans.LINE_MINOR, completes=True)))
        await publish(message(recorded(slow, "o2", 100, event_type="nothing is paid for")))
        await publish(message(recorded(quick, "o1", 1_000)))
        await becomes(lambda: ledger.available(quick, "maria"), [50])
        assert await settled_count() == 0
        held.released.set()
        await becomes(settled_count, 2)
    assert (await ledger.explain(slow, "o1")).remaining_minor == 0
    assert await ledger.available(slow, "t0") == [0]


async def failures(handle: Callable[[Sequence[bytes]], Any], *payloads: bytes) -> dict[int, Exception]:
    """The errors of messages by their places."""
    try:
        await handle(payloads)
    except SomeFailedError as error:
        return dict(error.failures)
    return {}


async def test_a_program_whose_fact_came_with_one_that_takes_long_does_not_wait_apart(
    published: Published, rewards: Running
) -> None:
    slow, quick = await published(worst_plans.costly_conditions()), await published(three_levels())
    events = ConversionEvents(rewards.service.deps)
    merged = large(slow, "o1") + message(recorded(quick, "o1", 1_000))
    found = await failures(events.handle, merged)
    assert isinstance(error := found[0], TakesLongError)
    assert error.names == {slow}
    assert await failures(events.handle_apart, merged) == {}
    assert await failures(events.handle, message(recorded(quick, "o2", 1_000))) == {}


async def test_a_quick_fact_behind_a_slow_one_of_the_program_waits_in_the_next_transaction_too(
    published: Published, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "FACTS_A_TRANSACTION", 1)
    slow = await published(worst_plans.costly_conditions())
    events = ConversionEvents(rewards.service.deps)
    quick = recorded(slow, "o2", 100, event_type="nothing is paid for")
    taken_back = reversed_(slow, "o0", "r1", 1)
    found = await failures(events.handle, large(slow, "o1"), message(quick), message(taken_back))
    assert {place: type(error) for place, error in found.items()} == dict.fromkeys(range(3), TakesLongError)


async def test_a_fact_that_fails_does_not_hide_one_that_takes_long(published: Published, rewards: Running) -> None:
    slow, bad = await published(worst_plans.costly_conditions()), await published(three_levels())
    deps = rewards.service.deps
    deps.resting_programs.failed(bad, TimeoutError("it waited in vain"), asyncio.get_running_loop().time())
    events = ConversionEvents(deps)
    merged = message(recorded(bad, "o1", 1_000)) + large(slow, "o1")
    assert isinstance((await failures(events.handle, merged))[0], TakesLongError)
    # Apart, both are tried, and whatever rests is tried as well: it came with nothing that would wait for it.
    assert await failures(events.handle_apart, merged) == {}


@pytest.mark.parametrize(
    ("plan", "lines"),
    [
        (worst_plans.costly_conditions, 1),
        (worst_plans.many_conditions, 1),
        (worst_plans.many_rewards, 1),
        (worst_plans.conditions_on_lines, 500),
    ],
)
async def test_the_worst_plans_hold_the_event_loop_for_a_moment_at_most(
    ledger: Ledger,
    new_program_id: Callable[[str], str],
    plan: Callable[[], plan_pb2.Plan],
    lines: int,
) -> None:
    said = plan()
    async with watched_loop() as held:
        found = {}

        async def taken(what: str, work: Any) -> Any:
            held.seconds = 0.0
            answer = await work
            await asyncio.sleep(0.02)
            found[what] = held.seconds
            return answer

        program = new_program_id("worst")
        request = plan_pb2.PublishPlanRequest(
            request_id=uuid4().hex, program_id=program, plan=said, currency_code="USD"
        )
        await taken("publish", ledger.plans.PublishPlan(request, timeout=PATIENCE_SECONDS))
        request = plan_pb2.ValidatePlanRequest(plan=said, currency_code="USD")
        await taken("validate", ledger.plans.ValidatePlan(request, timeout=PATIENCE_SECONDS))
        order = large(program, "o1", lines)
        await taken("settle", ledger.settle(order, large(program, "o2", lines)))
        refund = reversed_(program, "o1", "r1", worst_plans.LINE_MINOR * lines // 2)
        await taken("take back", ledger.settle(message(refund)))
        request = reward_pb2.ExplainConversionRequest(program_id=program, conversion_id="o1")
        await taken("explain", ledger.reader.ExplainConversion(request, timeout=PATIENCE_SECONDS))
        request = plan_pb2.ListPlansRequest(program_id=program)
        await taken("list", ledger.plans.ListPlans(request, timeout=PATIENCE_SECONDS))
        request = reward_pb2.ListRewardsRequest(program_id=program, conversion_id="o1")
        await taken("rewards", ledger.reader.ListRewards(request, timeout=PATIENCE_SECONDS))
    assert max(found.values()) < MOST_SECONDS, found
