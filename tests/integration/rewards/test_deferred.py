"""Facts that take long wait in the database: in turn, tried again, set aside, given back by a process that stops."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from bench import worst_plans
from chassis.comparison import Fact
from chassis.consumer import MAX_UNANSWERED, SomeFailedError, StalledError
from chassis.dead_letters import MAX_ATTEMPTS, DeadLetters
from services.rewards.commands import deferred as deferral_module
from services.rewards.commands import settle as settling
from services.rewards.commands.deferred import Deferral, DeferredFullError, defer
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import Unsettled
from services.rewards.consumer import ConversionEvents
from services.rewards.domain.conversion import FactBatch
from services.rewards.store import conversions, deferred
from services.rewards.wire.events import ToldFact
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, three_levels
from tests.running import Running

CONSUMER = "deferred_test"
"""Dead letters under this name are nobody else's."""


@dataclass
class Waiting:
    """Facts of programs of the test's own, that nobody but the test takes up."""

    deps: Deps
    worker: Deferral
    attempts: dict[str, int]
    """How often each conversion was settled."""
    faults: dict[str, Exception]
    """The errors of conversions that cannot be settled."""
    gate: asyncio.Event
    """Settling waits until it is set."""

    async def put(self, program_id: str, *conversion_ids: str) -> None:
        """Has conversions wait."""
        facts = [
            ToldFact(program_id, f"conversion:{program_id}/{each}", message(recorded(program_id, each, 1_000)))
            for each in conversion_ids
        ]
        assert await defer(self.deps, facts) == set()

    async def rows(self, program_id: str) -> list[Any]:
        """The rows of a program, in their order."""
        return await self._all("SELECT * FROM deferred WHERE program_id = :program_id ORDER BY 1", program_id)

    async def update(self, changes: str, program_id: str) -> None:
        """Changes the rows of a program."""
        async with self.deps.database.transaction() as conn:
            await conn.execute(
                text(f"UPDATE deferred SET {changes} WHERE program_id = :program_id"), {"program_id": program_id}
            )

    async def clear(self) -> None:
        """Leaves nothing waiting, nor set aside."""
        async with self.deps.database.transaction() as conn:
            await conn.execute(text("DELETE FROM deferred"))
            await conn.execute(text("DELETE FROM dead_letter WHERE consumer = :consumer"), {"consumer": CONSUMER})

    async def letters(self, program_id: str) -> list[Any]:
        """The dead letters of a program's facts."""
        return [each for each in await DeadLetters(self.deps.database).parked() if f":{program_id}/" in each.message_id]

    async def _all(self, sql: str, program_id: str) -> list[Any]:
        async with self.deps.database.transaction() as conn:
            return list((await conn.execute(text(sql), {"program_id": program_id})).all())


@pytest_asyncio.fixture
async def waiting(rewards: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Waiting]:
    """Nothing waits, and the service takes nothing up."""
    deps = rewards.service.deps
    made = Waiting(deps, Deferral(deps, CONSUMER, pauses=(0.0,)), {}, {}, asyncio.Event())
    made.gate.set()
    settle_next, settle = Deferral.settle_next, deferral_module.settle

    async def settle_own(self: Deferral) -> bool:
        return await settle_next(self) if self.consumer == CONSUMER else False

    async def settle_noted(deps: Deps, facts: FactBatch, *, apart: bool = False) -> Unsettled:
        conversion_id = facts.conversions[0].conversion.conversion_id
        made.attempts[conversion_id] = made.attempts.get(conversion_id, 0) + 1
        await made.gate.wait()
        if (fault := made.faults.get(conversion_id)) is None:
            return await settle(deps, facts, apart=apart)
        if isinstance(fault, ConnectionError):
            raise fault
        return Unsettled([(facts.conversions[0], fault)], [])

    monkeypatch.setattr(Deferral, "settle_next", settle_own)
    monkeypatch.setattr(deferral_module, "settle", settle_noted)
    yield made
    await made.clear()


async def drain(worker: Deferral) -> None:
    """Settles whatever is due."""
    while await worker.settle_next():
        pass


async def test_programs_take_turns_and_facts_of_a_program_keep_their_order(
    ledger: Ledger, published: Published, waiting: Waiting
) -> None:
    one, two = await published(three_levels()), await published(three_levels())
    await waiting.put(one, "a1", "a2", "a3")
    await waiting.put(two, "b1", "b2")
    await drain(waiting.worker)
    order = list(waiting.attempts)
    first, second = (["a1", "a2", "a3"], ["b1", "b2"]) if one < two else (["b1", "b2"], ["a1", "a2", "a3"])
    assert order[:4] in ([first[0], second[0], first[1], second[1]], [second[0], first[0], second[1], first[1]])
    assert [each for each in order if each[0] == "a"] == ["a1", "a2", "a3"]
    assert await ledger.available(one, "maria") == [150]
    assert await waiting.rows(one) == await waiting.rows(two) == []


async def test_a_program_is_worked_on_by_one_process_at_a_time(
    ledger: Ledger, published: Published, waiting: Waiting
) -> None:
    one, two = await published(three_levels()), await published(three_levels())
    await waiting.put(one, "a1", "a2")
    waiting.gate.clear()
    working = asyncio.create_task(waiting.worker.settle_next())
    while not waiting.attempts:
        await asyncio.sleep(0.01)
    other = Deferral(waiting.deps, CONSUMER)
    assert not await other.settle_next()
    await waiting.put(two, "b1")
    also = asyncio.create_task(other.settle_next())
    while "b1" not in waiting.attempts:
        await asyncio.sleep(0.01)
    assert waiting.attempts == {"a1": 1, "b1": 1}
    waiting.gate.set()
    assert await working
    assert await also
    assert await other.settle_next()
    assert await ledger.available(one, "maria") == [100]


async def test_what_fails_is_tried_again_behind_the_others_and_then_set_aside(
    ledger: Ledger, published: Published, waiting: Waiting
) -> None:
    program = await published(three_levels())
    waiting.faults["bad"] = ValueError("it cannot be settled")
    waiting.worker.pauses = (3_600.0,)
    await waiting.put(program, "bad", "good")
    await drain(waiting.worker)
    assert waiting.attempts == {"bad": 1, "good": 1}
    assert await ledger.available(program, "maria") == [50]
    (row,) = await waiting.rows(program)
    assert (row.claim_count, row.attempts, row.claimed_until) == (1, 1, None)
    assert row.error.startswith(f"ValueError: it cannot be settled (program {program}, conversion bad")
    for _ in range(MAX_ATTEMPTS - 1):
        await waiting.update("due_time = clock_timestamp()", program)
        assert await waiting.worker.settle_next()
    assert waiting.attempts["bad"] == MAX_ATTEMPTS
    assert await waiting.rows(program) == []
    (letter,) = await waiting.letters(program)
    assert (letter.consumer, letter.message_id) == (CONSUMER, f"conversion:{program}/bad")
    assert (letter.attempts, letter.error) == (MAX_ATTEMPTS, row.error)
    # Put back, it is an event of the stream like any other.
    await ConversionEvents(waiting.deps).handle([letter.payload])
    assert await ledger.available(program, "maria") == [100]


async def test_what_takes_the_process_with_it_is_set_aside(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    await waiting.put(program, "killer")
    for _ in range(MAX_UNANSWERED):
        async with waiting.deps.database.transaction() as conn:
            assert await deferred.claim(conn, "", timedelta(seconds=60), timedelta(seconds=60))
        assert not await waiting.worker.settle_next()  # it may still be worked on
        await waiting.update("claimed_until = clock_timestamp()", program)
    assert await waiting.worker.settle_next()
    assert waiting.attempts == {}
    (letter,) = await waiting.letters(program)
    assert letter.error.startswith("ProcessDied: ")
    assert await waiting.rows(program) == []


async def test_a_claim_lasts_as_long_as_it_is_worked_on(
    published: Published, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferral_module, "RENEW_SECONDS", 0.05)
    program = await published(three_levels())
    await waiting.put(program, "o1")
    waiting.gate.clear()
    work = asyncio.create_task(waiting.worker.settle_next())
    while not waiting.attempts:
        await asyncio.sleep(0.01)
    (first,) = await waiting.rows(program)
    while (await waiting.rows(program))[0].claimed_until == first.claimed_until:
        await asyncio.sleep(0.05)
    waiting.gate.set()
    assert await work
    assert await waiting.rows(program) == []


async def test_who_lost_a_claim_says_nothing_about_the_fact(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    waiting.faults["o1"] = ValueError("it cannot be settled")
    await waiting.put(program, "o1")
    waiting.gate.clear()
    work = asyncio.create_task(waiting.worker.settle_next())
    while not waiting.attempts:
        await asyncio.sleep(0.01)
    await waiting.update(f"claimed_until = clock_timestamp(), attempts = {MAX_ATTEMPTS - 1}", program)
    async with waiting.deps.database.transaction() as conn:
        other = await deferred.claim(conn, "", timedelta(seconds=60), timedelta(seconds=60))
    assert other is not None
    waiting.gate.set()
    assert await work
    (row,) = await waiting.rows(program)
    assert (row.claim_time, row.attempts) == (other.claim_time, MAX_ATTEMPTS - 1)
    assert row.claimed_until is not None
    assert await waiting.letters(program) == []
    async with waiting.deps.database.transaction() as conn:
        await deferred.give_back(conn, other)


async def test_a_clock_of_the_database_that_goes_back_holds_nobody_up(published: Published, waiting: Waiting) -> None:
    claimed, pausing = await published(three_levels()), await published(three_levels())
    await waiting.put(claimed, "o1")
    async with waiting.deps.database.transaction() as conn:
        assert await deferred.claim(conn, "", timedelta(seconds=60), timedelta(seconds=60))
    await waiting.put(pausing, "o2")
    await waiting.update("due_time = clock_timestamp() + interval '30 seconds'", pausing)
    waiting.worker.pauses = (60.0,)
    assert not await waiting.worker.settle_next()
    await waiting.update(
        "claim_time = claim_time + interval '1 day', claimed_until = claimed_until + interval '1 day'", claimed
    )
    await waiting.update("due_time = due_time + interval '1 day'", pausing)
    await drain(waiting.worker)
    assert await waiting.rows(claimed) == await waiting.rows(pausing) == []


async def test_a_fact_left_out_of_a_transaction_that_fails_waits(
    published: Published, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(worst_plans.costly_conditions())

    async def lost(_self: object) -> None:
        raise TimeoutError("the connection was lost")

    monkeypatch.setattr(settling._Settlement, "settle_all", lost)
    await ConversionEvents(waiting.deps).handle([message(recorded(program, "o1", 1_000))])
    assert len(await waiting.rows(program)) == 1


async def test_a_fact_that_comes_again_after_it_is_settled_is_not_decided_again(
    published: Published, waiting: Waiting
) -> None:
    program = await published(worst_plans.costly_conditions())
    for _ in range(3):
        await ConversionEvents(waiting.deps).handle([message(recorded(program, "o1", 1_000))])
        await drain(waiting.worker)
    assert waiting.attempts == {"o1": 1}


async def test_a_process_that_stops_gives_back_what_it_works_on(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    await waiting.put(program, "o1")
    waiting.gate.clear()
    work = asyncio.create_task(waiting.worker.run())
    while not waiting.attempts:
        await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    (row,) = await waiting.rows(program)
    assert (row.claim_count, row.attempts, row.claimed_until) == (0, 0, None)


async def test_a_database_that_is_away_is_no_fault_of_a_fact(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    await waiting.put(program, "o1")
    waiting.faults["o1"] = ConnectionError("the database does not answer")
    assert await waiting.worker.settle_next()
    (row,) = await waiting.rows(program)
    assert (row.claim_count, row.attempts, row.error) == (0, 0, None)


async def test_a_program_that_sends_too_much_waits_for_itself(
    ledger: Ledger, published: Published, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred, "MAX_FACTS_OF_PROGRAM", 2)
    slow, quick = await published(three_levels()), await published(three_levels())
    await waiting.put(slow, "o1", "o2")
    events = ConversionEvents(waiting.deps)
    with pytest.raises(SomeFailedError) as caught:
        await events.handle([message(recorded(slow, "o3", 1_000)), message(recorded(quick, "o1", 1_000))])
    assert {place: type(error) for place, error in caught.value.failures.items()} == {0: DeferredFullError}
    assert caught.value.about[0]["conversion"] == "o3"
    assert await ledger.available(quick, "maria") == [50]
    await drain(waiting.worker)
    await events.handle([message(recorded(slow, "o3", 1_000))])
    assert await ledger.available(slow, "maria") == [150]


async def test_a_fact_that_comes_twice_waits_once_and_is_paid_once(
    ledger: Ledger, published: Published, waiting: Waiting
) -> None:
    program = await published(three_levels())
    await waiting.put(program, "o1")
    await waiting.put(program, "o1", "o2")
    assert len(await waiting.rows(program)) == 2
    await drain(waiting.worker)
    await waiting.put(program, "o1")
    await drain(waiting.worker)
    assert await ledger.available(program, "maria") == [100]
    assert (await ledger.audit(program)).balanced


async def test_a_fact_that_waits_is_not_asked_for_again(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    await waiting.put(program, "o1")
    known, unknown = Fact(program, f"conversion:{program}/o1"), Fact(program, f"conversion:{program}/o2")
    async with waiting.deps.database.transaction() as conn:
        assert await conversions.settled(conn, [known, unknown]) == {known}


async def test_health_tells_of_a_fact_that_gets_nowhere(
    published: Published, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(three_levels())
    await waiting.put(program, "o1")
    waiting.gate.clear()
    work = asyncio.create_task(waiting.worker.settle_next())
    while not waiting.attempts:
        await asyncio.sleep(0.01)
    await waiting.worker.check_progress()
    monkeypatch.setattr(deferral_module, "STALLED_SECONDS", 0.0)
    with pytest.raises(StalledError, match=program):
        await waiting.worker.check_progress()
    waiting.gate.set()
    await work
    await waiting.worker.check_progress()


async def test_it_is_told_how_many_wait_and_for_how_long(published: Published, waiting: Waiting) -> None:
    program = await published(three_levels())
    await waiting.put(program, *(f"o{number}" for number in range(3)))
    await waiting.update("create_time = create_time - interval '1 hour'", program)
    async with waiting.deps.database.transaction() as conn:
        found = (await deferred.standing(conn))[program]
    assert found.number == 3
    assert 3_600 <= found.age_seconds < 3_700
