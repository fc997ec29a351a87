"""Messages that take long wait in a queue of their own."""

import asyncio
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from chassis import apart
from chassis.apart import ApartQueue

A = frozenset(["a"])


class Told:
    """A message as far as the queue knows it."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def told(data: bytes) -> Msg:
    return cast("Msg", Told(data))


async def next_of(queue: ApartQueue) -> bytes:
    message = await queue.next()
    await queue.done(message)
    return message.data


async def test_messages_of_one_keep_their_order_and_take_turns_with_those_of_others() -> None:
    queue = ApartQueue()
    for whose, data in (("a", b"a1"), ("a", b"a2"), ("a", b"a3"), ("b", b"b1"), ("c", b"c1")):
        await queue.put(frozenset([whose]), told(data))
    assert [await next_of(queue) for _ in range(5)] == [b"a1", b"b1", b"c1", b"a2", b"a3"]
    assert not queue.messages


@pytest.mark.parametrize("limit", ["MAX_MESSAGES", "MAX_BYTES"])
async def test_a_full_queue_makes_wait_until_a_message_is_done(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(apart, limit, 2)
    queue = ApartQueue()
    await queue.put(A, told(b"1"))
    await queue.put(A, told(b"2"))
    waiting = asyncio.create_task(queue.put(A, told(b"3")))
    await asyncio.sleep(0)
    message = await queue.next()
    await asyncio.sleep(0)
    assert not waiting.done()  # it is still in hand
    assert len(queue.messages) == 2
    await queue.done(message)
    await waiting
    assert [await next_of(queue) for _ in range(2)] == [b"2", b"3"]


async def test_whoever_asks_first_gets_the_message_when_it_comes() -> None:
    queue = ApartQueue()
    waiting: asyncio.Task[Any] = asyncio.create_task(queue.next())
    await asyncio.sleep(0)
    await queue.put(A, told(b"1"))
    assert (await waiting).data == b"1"


async def test_a_message_of_several_waits_behind_those_of_each_of_them() -> None:
    queue = ApartQueue()
    for whose, data in (("a", b"a1"), ("ab", b"ab2"), ("b", b"b3"), ("c", b"c1")):
        await queue.put(frozenset(whose), told(data))
    assert [await next_of(queue) for _ in range(4)] == [b"a1", b"c1", b"ab2", b"b3"]


async def test_names_are_known_until_the_last_of_their_messages_is_done() -> None:
    queue = ApartQueue()
    await queue.put(frozenset("ab"), told(b"1"))
    await queue.put(A, told(b"2"))
    first = await queue.next()
    assert queue.names == {"a", "b"}
    await queue.done(first)
    assert queue.names == {"a"}
    await next_of(queue)
    assert not queue.names
