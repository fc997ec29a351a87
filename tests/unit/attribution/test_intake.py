"""The batcher: which clicks travel together, and which callers hear what."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from nats.errors import TimeoutError as BrokerTimeout
from upline.attribution.v1.click_pb2 import Click, ClickBatch

from chassis.errors import UplineError, grpc_code
from services.attribution.intake import (
    MAX_BATCH_BYTES,
    MAX_BATCH_CLICKS,
    MAX_BATCHES_IN_FLIGHT,
    MAX_PART_CLICKS,
    MAX_WAITING_CLICKS,
    Intake,
)


class Broker:
    """Holds messages until the test answers them."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._answers: list[asyncio.Future[None]] = []

    async def publish(self, payload: bytes) -> None:
        self.batches.append([click.link_id for click in ClickBatch.FromString(payload).clicks])
        self._answers.append(asyncio.get_running_loop().create_future())
        await self._answers[-1]

    def confirm(self, number: int) -> None:
        self._answers[number].set_result(None)

    def refuse(self, number: int, error: Exception) -> None:
        self._answers[number].set_exception(error)


def frame(*names: str) -> bytes:
    return ClickBatch(clicks=[Click(link_id=name) for name in names]).SerializeToString()


def send(intake: Intake, *names: str) -> "asyncio.Task[None]":
    return asyncio.create_task(intake.record(frame(*names), len(names)))


async def settle(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.0005)


async def outcome(work: Awaitable[None]) -> grpc.StatusCode | None:
    try:
        await work
    except UplineError as error:
        return grpc_code(error.code)
    return None


async def test_nothing_is_confirmed_before_the_broker_confirms() -> None:
    broker = Broker()
    call = send(Intake(broker.publish), "a")
    await settle(lambda: len(broker.batches) == 1)
    await asyncio.sleep(0.01)
    assert not call.done()
    broker.confirm(0)
    await call


async def test_what_comes_while_two_are_on_their_way_travels_together() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    calls = []
    for name in "ab":
        calls.append(send(intake, name))
        await settle(lambda: len(broker.batches) == len(calls))
    calls += [send(intake, *names) for names in ("c", "de", "f")]
    await asyncio.sleep(0.01)
    assert broker.batches == [["a"], ["b"]]
    broker.confirm(1)
    await settle(lambda: len(broker.batches) == 3)
    assert broker.batches[2] == ["c", "d", "e", "f"]
    assert [call.done() for call in calls] == [False, True, False, False, False]
    broker.confirm(2)
    await asyncio.gather(*calls[2:])
    assert not calls[0].done()
    broker.confirm(0)
    await calls[0]


async def test_a_refusal_fails_its_own_waiters_only() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    first = send(intake, "a")
    await settle(lambda: len(broker.batches) == 1)
    second = send(intake, "b")
    await settle(lambda: len(broker.batches) == 2)
    together = [send(intake, name) for name in "cd"]
    broker.refuse(1, BrokerTimeout())
    await settle(lambda: len(broker.batches) == 3)
    assert await outcome(second) is grpc.StatusCode.UNAVAILABLE
    assert not first.done()
    broker.refuse(2, BrokerTimeout())
    assert [await outcome(each) for each in together] == [grpc.StatusCode.UNAVAILABLE] * 2
    broker.confirm(0)
    assert await outcome(first) is None


async def test_a_fault_of_our_own_is_not_called_the_brokers() -> None:
    broker = Broker()
    call = send(Intake(broker.publish), "a")
    await settle(lambda: len(broker.batches) == 1)
    broker.refuse(0, KeyError("bug"))
    with pytest.raises(RuntimeError, match="bug"):
        await call


async def test_no_message_exceeds_the_limit() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    calls = [send(intake, *(f"{number}-{index}" for index in range(200))) for number in range(20)]
    answered = 0
    while not all(call.done() for call in calls):
        await settle(lambda seen=answered: len(broker.batches) > seen or all(call.done() for call in calls))
        while answered < len(broker.batches):
            broker.confirm(answered)
            answered += 1
        await asyncio.sleep(0)
    assert max(map(len, broker.batches)) <= MAX_BATCH_CLICKS
    assert sorted(name for batch in broker.batches for name in batch) == sorted(
        f"{number}-{index}" for number in range(20) for index in range(200)
    )


async def test_long_clicks_travel_in_messages_that_the_broker_takes() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    size = MAX_BATCH_BYTES // MAX_PART_CLICKS * 2 // 3
    calls = [send(intake, *(f"{call}-{n}".ljust(size, "x") for n in range(MAX_PART_CLICKS))) for call in range(6)]
    for number in range(6):  # each is more than half of the limit, so no two of them are one message
        await settle(lambda seen=number: len(broker.batches) > seen)
        broker.confirm(number)
    await asyncio.gather(*calls)
    assert [len(batch) for batch in broker.batches] == [MAX_PART_CLICKS] * 6


async def test_who_gave_up_is_left_out() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    calls = []
    for name in "ab":
        calls.append(send(intake, name))
        await settle(lambda: len(broker.batches) == len(calls))
    gone, stays = send(intake, "gone"), send(intake, "stays")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    broker.confirm(0)
    await settle(lambda: len(broker.batches) == 3)
    assert broker.batches[2] == ["stays"]
    for number in (1, 2):
        broker.confirm(number)
    await asyncio.gather(*calls, stays)


async def test_nobody_waits_behind_a_broker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    first = send(intake, "a")
    await settle(lambda: len(broker.batches) == 1)
    monkeypatch.setattr("services.attribution.intake.STALL_SECONDS", 0.0)
    assert await outcome(intake.record(frame("b"), 1)) is grpc.StatusCode.UNAVAILABLE
    broker.confirm(0)
    await first
    second = send(intake, "b")
    await settle(lambda: len(broker.batches) == 2)
    broker.confirm(1)
    assert await outcome(second) is None


async def test_without_a_connection_nothing_is_sent() -> None:
    broker = Broker()
    assert await outcome(Intake(broker.publish, lambda: False).record(frame("a"), 1)) is grpc.StatusCode.UNAVAILABLE
    assert broker.batches == []


async def test_too_many_waiting_are_told_to_slow_down() -> None:
    broker = Broker()
    intake = Intake(broker.publish)
    full = frame(*(str(number) for number in range(MAX_PART_CLICKS)))
    room = MAX_WAITING_CLICKS // MAX_PART_CLICKS + MAX_BATCHES_IN_FLIGHT
    calls = [asyncio.create_task(intake.record(full, MAX_PART_CLICKS)) for _ in range(room)]
    await settle(lambda: len(broker.batches) == MAX_BATCHES_IN_FLIGHT)
    assert await outcome(intake.record(frame("one"), 1)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    draining = asyncio.create_task(intake.drain())
    answered = 0
    while not draining.done():
        await settle(lambda seen=answered: len(broker.batches) > seen or draining.done())
        while answered < len(broker.batches):
            broker.confirm(answered)
            answered += 1
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert answered == MAX_BATCHES_IN_FLIGHT + MAX_WAITING_CLICKS // MAX_BATCH_CLICKS
