"""Plans are compiled when something needs them, and kept within a bound while they are used: counted, not timed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text
from upline.rewards.v1 import plan_pb2

from chassis.consumer import SomeFailedError
from services.rewards.commands.audit import audit_ledger
from services.rewards.commands.contests import close_due_contests
from services.rewards.commands.deps import Deps
from services.rewards.commands.expiry import expire
from services.rewards.commands.release import release_due_holds
from services.rewards.commands.spending import repay_debts
from services.rewards.consumer import ConversionEvents
from services.rewards.domain.plan.versions import PlanVersions
from services.rewards.store import plans
from services.rewards.store.plans import PlanCache, PlanRow
from tests.integration.rewards.conftest import NOON, Ledger, Owner, forget, message, recorded, reversed_, three_levels

VERSIONS = 4


@dataclass
class Process:
    """A process of rewards with a cache of its own, and one program, which has a version for each day from noon on."""

    deps: Deps
    program_id: str
    ledger: Ledger

    @property
    def cache(self) -> PlanCache:
        """Its plans."""
        return self.deps.plans

    async def publish(self, version: int, plan: plan_pb2.Plan) -> None:
        """Stores a version as another process published it."""
        start = None if version == 1 else NOON + timedelta(days=version)
        row = PlanRow(self.program_id, version, "USD", plan.SerializeToString(), start, NOON)
        async with self.deps.database.transaction() as conn:
            await plans.insert(conn, row)

    async def settle(self, *payloads: bytes) -> None:
        """Settles stream messages, as the consumer does."""
        await ConversionEvents(self.deps).handle(payloads)

    async def order(self, conversion_id: str, version: int) -> None:
        """An order that a version pays."""
        moment = NOON + timedelta(days=version)
        await self.settle(
            message(recorded(self.program_id, conversion_id, 1_000, occurred_at=moment, record_time=moment))
        )


def with_condition(text: str = "event.amount_minor > 0") -> plan_pb2.Plan:
    """Three levels, under a condition."""
    plan = three_levels()
    plan.rules[0].when = text
    return plan


@pytest_asyncio.fixture
async def process(ledger: Ledger, owner: Owner, new_program_id: Callable[[str], str]) -> AsyncIterator[Process]:
    """A process that knows no plan yet, and a program with VERSIONS versions."""
    made = Process(replace(ledger.rewards.service.deps, plans=PlanCache()), new_program_id("cached"), ledger)
    for version in range(1, VERSIONS + 1):
        await made.publish(version, with_condition())
    yield made
    await forget(owner, made.program_id)
    await owner.execute(b"DELETE FROM rewards.plan_version WHERE program_id = %(p)s", {"p": made.program_id})


async def test_only_versions_that_decide_are_compiled_and_only_new_ones_are_read(process: Process) -> None:
    cache = process.cache
    await process.order("c4", 4)
    assert (cache.outlined_count, cache.compiled_count) == (VERSIONS, 1)
    await process.publish(5, with_condition())
    await process.order("c5", 5)
    assert (cache.outlined_count, cache.compiled_count) == (VERSIONS + 1, 2)
    await process.order("c1", 1)
    await process.settle(message(reversed_(process.program_id, "c4", "r4", 500)))
    assert (cache.outlined_count, cache.compiled_count) == (VERSIONS + 1, 3)
    assert (await process.ledger.explain(process.program_id, "c1")).plan_version == 1
    assert await process.ledger.available(process.program_id, "maria") == [50 + 50 + 25]


async def test_jobs_compile_nothing(process: Process) -> None:
    for job in (release_due_holds, close_due_contests, repay_debts, expire):
        await job(process.deps)
    await audit_ledger(process.deps, "", reads_all=False)
    assert process.cache.compiled_count == 0


async def test_whoever_needs_a_version_while_it_is_compiled_waits_for_it(process: Process) -> None:
    async def compiled() -> object:
        async with process.deps.database.transaction() as conn:
            return await process.cache.plan(conn, process.program_id, 1)

    one, other = await asyncio.gather(compiled(), compiled())
    assert one is other
    assert process.cache.compiled_count == 1


async def test_compiled_plans_are_bounded_and_come_again_when_they_are_needed(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_COMPILED_BYTES", 1)  # none stays but the last
    cache = PlanCache()
    process.deps = replace(process.deps, plans=cache)
    async with process.deps.database.transaction() as conn:
        held = await cache.load(conn, [process.program_id])
        await held.compile(conn, [(process.program_id, version) for version in (1, 2, 3)])
        assert len(cache._plans) == 1
        # What a transaction uses stays with it.
        assert [held.plan(process.program_id, version).version for version in (1, 2, 3)] == [1, 2, 3]
    # They are compiled side by side, and whichever was the last of them stays.
    gone = [version for version in (1, 2, 3) if cache._plans.get((process.program_id, version)) is None]
    for number, version in enumerate(2 * gone):
        await process.order(f"c{number}", version)
    assert cache.compiled_count == 3 + 4
    assert await process.ledger.available(process.program_id, "maria") == [4 * 50]


async def test_outlines_are_bounded_and_come_again_when_they_are_needed(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_OUTLINE_BYTES", 1)
    cache = PlanCache()
    async with process.deps.database.transaction() as conn:
        for _ in range(2):
            assert len((await cache.load(conn, [process.program_id]))[process.program_id]) == VERSIONS
            cache._versions.put("another", PlanVersions(), 1)
    assert cache.outlined_count == 2 * VERSIONS


async def test_a_version_that_cannot_be_compiled_stops_what_needs_it_alone(process: Process) -> None:
    await process.publish(5, with_condition("event.of_a_later_server > 0"))
    await process.publish(6, with_condition())
    await process.order("c6", 6)
    for _ in range(2):
        with pytest.raises(SomeFailedError, match=r"PLAN_UNREADABLE.*version 5 of the plan"):
            await process.order("c5", 5)
    await process.order("again", 6)
    assert await process.ledger.available(process.program_id, "maria") == [2 * 50]
    told = (await audit_ledger(process.deps, process.program_id, reads_all=False)).findings
    assert [(each.check, each.program_id) for each in told] == [("PLAN_UNREADABLE", process.program_id)]
    assert "of_a_later_server" in told[0].detail


async def test_stored_plans_are_read_in_parts(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = str(plans._LOAD_NEW).replace(str(plans.BYTES_A_READ), "1")
    monkeypatch.setattr(plans, "_LOAD_NEW", text(statement))
    async with process.deps.database.transaction() as conn:
        versions = (await process.cache.load(conn, [process.program_id]))[process.program_id]
    assert [each.version for each in versions] == list(range(1, VERSIONS + 1))
