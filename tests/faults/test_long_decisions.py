"""Conversions that take long to decide are decided apart: nobody else waits for them, and the event loop goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import plan_pb2, reward_pb2

from bench import worst_plans
from chassis import pacing
from chassis.consumer import Consumer, SomeFailedError
from chassis.dead_letters import DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from services.rewards.commands import settle as settling
from services.rewards.consumer import ConversionEvents
from services.rewards.domain.settle import counting as domain_counting
from services.rewards.store import deferred, tallies
from services.rewards.wire.conditions import CelCondition
from tests.flow import becomes
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, reversed_, three_levels
from tests.integration.rewards.test_waiting import reject
from tests.loop_watch import watched_loop
from tests.running import DEADLINE_SECONDS, Running

SPEC = StreamSpec("LONG_TEST", "long.test", ("long_test",), 10 * 1024 * 1024)
MANY = 500
"""More than any process kept in memory when they waited there."""
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
        self._accrue = domain_counting.accrue

    def __call__(self, plan: Any, conversion: Any, *others: Any) -> Any:
        if conversion.program_id == self._program_id:
            self.entered.set()
            self.was_released &= self.released.wait(HELD_SECONDS)
        return self._accrue(plan, conversion, *others)


@contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch, program_id: str) -> Iterator[HeldDecisions]:
    """Holds decisions up; lets them go in the end."""
    held = HeldDecisions(program_id)
    monkeypatch.setattr(domain_counting, "accrue", held)
    try:
        yield held
    finally:
        held.released.set()


Publish = Callable[..., Any]


@pytest_asyncio.fixture
async def publish(rewards: Running, broker: Stream) -> AsyncIterator[Publish]:
    """Publishes messages on a stream of the test's own, which the rewards service settles meanwhile."""
    await broker.ensure(SPEC)
    deps = rewards.service.deps
    consumer = Consumer(broker, SPEC, "long_test", ConversionEvents(deps).handle, DeadLetters(deps.database))
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
        assert await asyncio.to_thread(held.entered.wait, HELD_SECONDS)
        held.released.set()
        await becomes(lambda: ledger.available(slow, "t0"), [3 * 20 * worst_plans.COSTLY_CONDITIONS])
    assert held.was_released, "the event loop stood still until its time was over"
    assert (await ledger.audit(slow)).balanced


async def test_facts_of_the_program_that_come_meanwhile_wait_behind_those_before_them(
    ledger: Ledger,
    published: Published,
    publish: Publish,
    rewards: Running,
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
        await becomes(lambda: waiting(rewards, slow), {})
    assert (await ledger.explain(slow, "o1")).remaining_minor == 0
    assert await ledger.available(slow, "t0") == [0]


async def waiting(rewards: Running, *program_ids: str) -> dict[str, int]:
    """How many facts of programs wait."""
    async with rewards.service.deps.database.transaction() as conn:
        found = await deferred.standing(conn)
    return {each: found[each].number for each in program_ids if each in found}


async def test_however_many_orders_take_long_others_are_settled_meanwhile(
    ledger: Ledger, published: Published, publish: Publish, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = await published(worst_plans.costly_conditions()), await published(three_levels())
    with held_up(monkeypatch, slow) as held:
        await publish(*(message(recorded(slow, f"o{number}", 1_000)) for number in range(MANY)))
        await publish(message(recorded(quick, "o1", 1_000)))
        await becomes(lambda: ledger.available(quick, "maria"), [50])
        assert await waiting(rewards, slow, quick) == {slow: MANY}
        assert held.entered.is_set()
        async with rewards.service.deps.database.transaction() as conn:  # as many take minutes
            await conn.execute(text("DELETE FROM deferred WHERE program_id = :slow"), {"slow": slow})


async def test_a_program_whose_fact_came_with_one_that_takes_long_does_not_wait(
    ledger: Ledger, published: Published, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = await published(worst_plans.costly_conditions()), await published(three_levels())
    with held_up(monkeypatch, slow):
        events = ConversionEvents(rewards.service.deps)
        await events.handle([large(slow, "o1") + message(recorded(quick, "o1", 1_000))])
        await events.handle([message(recorded(quick, "o2", 1_000))])
        assert await ledger.available(quick, "maria") == [100]
        assert await waiting(rewards, slow, quick) == {slow: 1}


async def test_a_quick_fact_behind_a_slow_one_of_the_program_waits_in_the_next_transaction_too(
    published: Published, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "FACTS_A_TRANSACTION", 1)
    slow = await published(worst_plans.costly_conditions())
    quick = recorded(slow, "o2", 100, event_type="nothing is paid for")
    taken_back = reversed_(slow, "o0", "r1", 1)
    with held_up(monkeypatch, slow):
        await ConversionEvents(rewards.service.deps).handle([large(slow, "o1"), message(quick), message(taken_back)])
        assert await waiting(rewards, slow) == {slow: 3}


async def test_a_fact_that_fails_does_not_hide_one_that_takes_long(
    published: Published, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, bad = await published(worst_plans.costly_conditions()), await published(three_levels())
    deps = rewards.service.deps
    deps.resting_programs.failed(bad, TimeoutError("it waited in vain"), asyncio.get_running_loop().time())
    with held_up(monkeypatch, slow):
        with pytest.raises(SomeFailedError) as caught:
            await ConversionEvents(deps).handle([message(recorded(bad, "o1", 1_000)) + large(slow, "o1")])
        assert [type(each) for each in caught.value.failures.values()] == [TimeoutError]
        assert await waiting(rewards, slow, bad) == {slow: 1}


@dataclass
class Behind:
    """Work behind the lock of a program that counts."""

    locks: int = 0
    rests: int = 0
    evaluations: int = 0


@contextmanager
def watched_behind_the_lock(monkeypatch: pytest.MonkeyPatch, program_id: str) -> Iterator[Behind]:
    """Counts what is done while a transaction has the program's lock."""
    behind, having = Behind(), list[AsyncConnection]()
    lock, rest, evaluate = tallies.lock, pacing.sleep, CelCondition._is_true

    async def locks(conn: AsyncConnection, program_ids: Collection[str]) -> None:
        await lock(conn, program_ids)
        if program_id in program_ids:
            having.append(conn)
            behind.locks += 1

    def is_locked() -> bool:
        return not all(each.closed for each in having)

    def rests(seconds: float) -> None:
        behind.rests += is_locked()
        rest(seconds)

    def evaluates(condition: CelCondition, *inputs: Any) -> bool:
        behind.evaluations += is_locked()
        return evaluate(condition, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(tallies, "lock", locks)
        patch.setattr(pacing, "sleep", rests)
        patch.setattr(CelCondition, "_is_true", evaluates)
        yield behind


def counting(plan: plan_pb2.Plan) -> plan_pb2.Plan:
    """The plan with a counter, which gives its facts an order."""
    plan.counters.add(
        counter_id="volume", on=["order"], of=plan.rules[0].to, measure=plan_pb2.MEASURE_VOLUME,
        period=plan_pb2.PERIOD_MONTH,
    )  # fmt: skip
    return plan


@pytest.mark.parametrize("plan", [worst_plans.costly_conditions, worst_plans.many_conditions])
async def test_what_takes_long_is_asked_before_others_of_the_program_have_to_wait(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch, plan: Callable[[], plan_pb2.Plan]
) -> None:
    subject = counting(plan())
    del subject.rules[30:]  # enough to take long
    for each in subject.rules:
        each.hold.approval = True
    program = await published(subject)
    amount_minor = 500 * worst_plans.LINE_MINOR
    with watched_behind_the_lock(monkeypatch, program) as behind:
        await ledger.settle(large(program, "o1", 500))
        await ledger.settle(message(reversed_(program, "o1", "r1", amount_minor // 2)))
        await reject(ledger, program, "o1")
    assert behind.locks >= 3
    assert (behind.rests, behind.evaluations) == (0, 0)
    assert (await ledger.explain(program, "o1")).remaining_minor == amount_minor // 2
    assert (await ledger.audit(program)).balanced


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
