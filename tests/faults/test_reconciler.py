"""The rounds of the reconciler, with a reader that has what a test says."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from nats.js.errors import NotFoundError
from sqlalchemy import text

from chassis import reconciler as reconciler_module
from chassis.asking import AskedReader
from chassis.comparison import Difference, Fact
from chassis.ids import new_id
from chassis.reconciler import CLAIM_SECONDS, LostClaimError, Reconciler
from tests.faults.reconciling import READER, SPEC, Apparatus


@dataclass(frozen=True, slots=True)
class SlowReader(AskedReader):
    """A reader that answers when it is let."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, facts: Sequence[Fact]) -> Difference | None:
        """Asks as soon as it is let."""
        self.asked.set()
        await self.let.wait()
        return await super(SlowReader, self).ask(facts)


async def slow_reconciler(apparatus: Apparatus) -> tuple[Reconciler, SlowReader]:
    """A process of which the round takes as long as a test likes, because there is something to ask."""
    await apparatus.record("new")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    other = apparatus.reconciler
    reader = SlowReader(**{name: getattr(other.reader, name) for name in other.reader.__dataclass_fields__})
    return replace(other, reader=reader), reader


async def test_one_process_compares_for_as_long_as_its_round_works(apparatus: Apparatus) -> None:
    slow, reader = await slow_reconciler(apparatus)
    works = asyncio.create_task(slow.reconcile())
    await reader.asked.wait()
    other = apparatus.reconciler
    await other.reconcile()
    assert await apparatus.compared() == 0
    reader.let.set()
    await works
    assert await apparatus.compared() == 1
    await apparatus.record("newer")
    await apparatus.publish()
    apparatus.settled |= set(await apparatus.read())
    await other.reconcile()
    assert await apparatus.compared() == 2


async def test_of_two_processes_that_begin_together_one_compares(apparatus: Apparatus) -> None:
    def claim() -> dict[str, object]:
        limits = {"pause_seconds": 1.5, "claim_seconds": CLAIM_SECONDS}
        return {"consumer": READER, "round_id": new_id(), **limits}

    async with apparatus.database.transaction() as second:
        await second.execute(text("SELECT"))  # it has begun, and has not come to its claim
        async with apparatus.database.transaction() as first:
            assert (await first.execute(reconciler_module._CLAIM, claim())).one_or_none() is not None
        assert (await second.execute(reconciler_module._CLAIM, claim())).one_or_none() is None


async def test_a_time_that_was_written_before_the_clock_was_set_back_holds_nobody(apparatus: Apparatus) -> None:
    await apparatus.reconciler.reconcile()
    await apparatus.owner.execute(
        "UPDATE reconciliation SET look_time = look_time + interval '1 day', round_id = gen_random_uuid()"
    )
    slow, reader = await slow_reconciler(apparatus)
    reader.let.set()
    await slow.reconcile()
    assert await apparatus.compared() == 1


async def test_a_round_of_which_nothing_is_heard_any_more_is_taken_over(apparatus: Apparatus) -> None:
    slow, reader = await slow_reconciler(apparatus)
    works = asyncio.create_task(slow.reconcile())
    await reader.asked.wait()
    await apparatus.owner.execute(
        "UPDATE reconciliation SET look_time = look_time - make_interval(secs => %s)", [CLAIM_SECONDS]
    )
    await apparatus.reconciler.reconcile()
    assert await apparatus.compared() == 1
    reader.let.set()
    await works
    assert await apparatus.compared() == 1


async def test_a_round_that_was_taken_over_ends(apparatus: Apparatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler_module, "RENEW_SECONDS", 0.01)
    slow, reader = await slow_reconciler(apparatus)
    works = asyncio.create_task(slow.reconcile())
    await reader.asked.wait()
    await apparatus.owner.execute("UPDATE reconciliation SET round_id = gen_random_uuid()")
    with pytest.raises(LostClaimError):
        await works
    assert await apparatus.compared() == 0


async def test_rows_are_kept_until_the_reader_has_them(apparatus: Apparatus) -> None:
    for each in ("settled", "gap"):
        await apparatus.record(each)
    await apparatus.publish()
    await apparatus.read()
    apparatus.settled.add("settled")
    await apparatus.owner.execute("UPDATE outbox SET publish_time = publish_time - interval '8 days'")
    reconciler = apparatus.reconciler
    assert await reconciler.purge() == 0
    await reconciler.reconcile()
    assert await reconciler.purge() == 1
    apparatus.settled.add("gap")
    await reconciler.reconcile()
    assert await reconciler.purge() == 1


async def test_a_stream_that_is_missing_is_made(apparatus: Apparatus) -> None:
    await apparatus.lose_stream()
    await apparatus.reconciler.reconcile()
    try:
        await apparatus.jetstream.consumer_info(SPEC.name, READER)
    except NotFoundError as error:
        raise AssertionError("nobody made the consumer") from error
