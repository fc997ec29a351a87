"""A message that was set aside is listed with its reason, and put back once the cause is mended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import psycopg
import pytest
import pytest_asyncio

import cli.dead_letters
from chassis.consumer import Consumer
from chassis.dead_letters import MAX_ATTEMPTS, DeadLetters
from chassis.stream import Message, Stream
from chassis.topology import StreamSpec
from cli.dead_letters import PUT_BACK_AHEAD, open_letters, put_letters_back
from cli.errors import CommandFailed
from services.rewards.consumer import ConversionEvents
from tests.conftest import Servers
from tests.e2e.conftest import OpenProgram
from tests.flow import becomes
from tests.integration.rewards.conftest import message, recorded, reversed_
from tests.integration.rewards.test_operator_commands import upline
from tests.running import Running

SPEC = StreamSpec("SET_ASIDE_TEST", "upline.conversions.set-aside-test", ("set_aside_test",), 10 * 1024 * 1024)
UNREAD = StreamSpec("UNREAD_TEST", "upline.conversions.unread-test", ("set_aside_test",), 10 * 1024 * 1024)
QUICKLY = (0.02,)
"""Waits between tries; the services wait up to half a minute."""

LETTERS = 40

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@pytest_asyncio.fixture
async def owner(servers: Servers) -> AsyncIterator[Connection]:
    """The owner of the database; removes the dead letters of this test, of which every audit would tell."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        yield conn
        await conn.execute(b"DELETE FROM rewards.dead_letter WHERE consumer = 'set_aside_test'")


async def test_what_was_set_aside_is_put_back_once_the_cause_is_mended(
    opened: OpenProgram, rewards: Running, broker: Stream, servers: Servers, owner: Connection
) -> None:
    world = await opened("three-levels.yaml")
    await broker.ensure(SPEC)
    deps = rewards.service.deps
    mended = asyncio.Event()

    async def handle(payloads: Sequence[bytes]) -> None:
        if not mended.is_set():
            raise ValueError("a deployment went wrong")
        await ConversionEvents(deps).handle(payloads)

    async def letters() -> list[dict[str, object]]:
        code, told, error = await upline(servers, "dead-letters", "list", "--json")
        assert code == 0, error
        return [each for each in told["dead_letters"] if each["consumer"] == "set_aside_test"]

    async def count() -> int:
        cursor = await owner.execute(
            b"SELECT count(*) FROM rewards.dead_letter WHERE park_time IS NOT NULL AND consumer = 'set_aside_test'"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(str(row[0]))

    async def settled_count() -> int:
        return (await world.totals()).conversion_count

    names = [f"{world.program_id}:order-{number}" for number in range(2)]
    consumer = Consumer(broker, SPEC, "set_aside_test", handle, DeadLetters(deps.database), retry_seconds=QUICKLY)
    work = asyncio.create_task(consumer.run())
    try:
        for number, name in enumerate(names):
            payload = message(recorded(world.program_id, f"order-{number}", 10_000))
            await broker.publish(Message(SPEC.subject, name, "test", payload))
        await becomes(count, 2)
        listed = await letters()
        assert {str(each["message_id"]) for each in listed} == set(names)
        assert {(each["service"], each["attempts"], each["error"]) for each in listed} == {
            ("rewards", MAX_ATTEMPTS, "ValueError: a deployment went wrong")
        }
        mended.set()
        assert (await upline(servers, "dead-letters", "requeue", names[0], "--json"))[:2] == (
            0,
            {"requeued": names[:1]},
        )
        await becomes(settled_count, 1)
        assert [each["message_id"] for each in await letters()] == names[1:]
        code, _, error = await upline(servers, "dead-letters", "requeue", names[0])
        assert (code, names[0] in error) == (1, True)
        await upline(servers, "dead-letters", "requeue", names[1])
        await becomes(settled_count, 2)
        assert await letters() == []
    finally:
        work.cancel()
    assert await world.wallet("maria") == {"USD": (0, 2 * 500)}
    assert await world.audit() == []


async def test_a_dead_letter_names_the_fact_at_fault_and_its_trace(
    opened: OpenProgram, rewards: Running, broker: Stream, servers: Servers, owner: Connection
) -> None:
    world = await opened("three-levels.yaml")
    await broker.ensure(SPEC)
    deps = rewards.service.deps
    order = recorded(world.program_id, "order-0", 10_000)
    order.recorded.trace_id = "a" * 32
    refund = reversed_(world.program_id, "order-0", "too-much", 10_001)
    refund.reversed.trace_id = "b" * 32

    async def is_parked() -> bool:
        found = await owner.execute(
            b"SELECT 1 FROM rewards.dead_letter WHERE message_id = %s AND park_time IS NOT NULL", [name]
        )
        return await found.fetchone() is not None

    name = f"{world.program_id}:facts"
    handle = ConversionEvents(deps).handle
    consumer = Consumer(broker, SPEC, "set_aside_test", handle, DeadLetters(deps.database), retry_seconds=QUICKLY)
    work = asyncio.create_task(consumer.run())
    try:
        await broker.publish(Message(SPEC.subject, name, "test", message(order, refund)))
        await becomes(is_parked, True)
    finally:
        work.cancel()
    code, letter, error = await upline(servers, "dead-letters", "show", name, "--json")
    assert code == 0, error
    fact = f"(program {world.program_id}, conversion order-0, reversal too-much, trace_id {'b' * 32})"
    assert letter["error"] == f"OverReversedError: order-0: 1 more was taken back than there was {fact}"


async def test_what_is_put_back_stands_before_no_new_order(
    rewards: Running, broker: Stream, servers: Servers, owner: Connection, new_program_id: Callable[[str], str]
) -> None:
    await broker.ensure(SPEC)
    program = new_program_id("put-back")
    in_hand, go_on = asyncio.Event(), asyncio.Event()
    handled: list[bytes] = []

    async def handle(payloads: Sequence[bytes]) -> None:
        in_hand.set()
        await go_on.wait()
        handled.extend(payloads)

    async def handled_count() -> int:
        return len(handled)

    letters = [message(recorded(program, f"old-{number}", 1_000)) for number in range(LETTERS)]
    for number, payload in enumerate(letters):
        await owner.execute(
            b"INSERT INTO rewards.dead_letter (consumer, message_id, subject, payload, error, park_time)"
            b" VALUES ('set_aside_test', %s, %s, %s, 'ValueError: no', now())",
            [f"{program}-{number}", SPEC.subject, payload],
        )
    dead_letters = DeadLetters(rewards.service.deps.database)
    work = asyncio.create_task(Consumer(broker, SPEC, "set_aside_test", handle, dead_letters).run())
    names = [f"{program}-{number}" for number in range(LETTERS)]
    requeue = asyncio.create_task(upline(servers, "dead-letters", "requeue", *names))
    try:
        await in_hand.wait()
        before = 0
        while before != (before := await broker.pending(SPEC, "set_aside_test")):
            await asyncio.sleep(1.0)  # as much as the command puts back while nothing is taken up
        new = message(recorded(program, "new", 1_000))
        await broker.publish(Message(SPEC.subject, f"{program}:new", "test", new))
        go_on.set()
        assert (await requeue)[0] == 0
        await becomes(handled_count, LETTERS + 1)
    finally:
        work.cancel()
        requeue.cancel()
        await asyncio.gather(work, requeue, return_exceptions=True)
    assert handled.index(new) <= 2 * PUT_BACK_AHEAD  # some were in hand, and some stood before it


async def test_what_nobody_takes_up_is_not_put_back(
    rewards: Running, broker: Stream, servers: Servers, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.dead_letters, "STANDSTILL_SECONDS", 0.2)
    await broker.ensure(UNREAD)
    for number in range(LETTERS):
        await owner.execute(
            b"INSERT INTO rewards.dead_letter (consumer, message_id, subject, payload, error, park_time)"
            b" VALUES ('set_aside_test', %s, %s, 'x', 'ValueError: no', now())",
            [f"left-{number}", UNREAD.subject],
        )
    async with open_letters(servers.postgres.url) as found:
        wanted = [each for each in found if each.letter.consumer == "set_aside_test"]
        with pytest.raises(CommandFailed, match=f"^{PUT_BACK_AHEAD} put back, {LETTERS - PUT_BACK_AHEAD} left"):
            await put_letters_back(servers.nats.url, wanted)
    async with open_letters(servers.postgres.url) as found:
        left = [each for each in found if each.letter.consumer == "set_aside_test"]
    assert len(left) == LETTERS - PUT_BACK_AHEAD


async def test_a_command_says_what_it_lacks(servers: Servers) -> None:
    code, _, error = await upline(servers, "dead-letters", "requeue")
    assert (code, "--all" in error) == (2, True)
    code, _, error = await upline(servers, "dead-letters", "show", "nobody")
    assert (code, "nobody" in error) == (1, True)
