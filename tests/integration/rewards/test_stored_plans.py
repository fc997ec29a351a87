"""A published plan stays readable; one that cannot be read stops nobody but its own program."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from upline.rewards.v1 import plan_pb2, reward_pb2

from chassis.clock import ManualClock
from chassis.errors import UplineError
from services.rewards.commands.expiry import expire
from services.rewards.commands.providers import send_payouts
from services.rewards.commands.release import release_due_holds
from services.rewards.store import plans
from services.rewards.store.plans import PlanRow
from services.rewards.wire.plans import read_plan
from tests.errors import reason_of
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Owner,
    Published,
    forget,
    message,
    points_rule,
    recorded,
    reversed_,
    three_levels,
)

UNKNOWN_FIELD = bytes([0xFA, 0x7F, 0x01, 0x00])
"""Field number 2047 of a later server's plans."""

Stored = Callable[[bytes], Awaitable[str]]


@pytest_asyncio.fixture
async def stored(
    ledger: Ledger, owner: Owner, new_program_id: Callable[[str], str]
) -> AsyncIterator[Callable[[bytes], Awaitable[str]]]:
    """Stores a plan as another server published it. It is removed again: jobs would tell of it for ever."""
    made: list[str] = []

    async def store(plan: bytes) -> str:
        program = new_program_id("stored")
        made.append(program)
        async with ledger.rewards.service.deps.database.transaction() as conn:
            await plans.insert(conn, PlanRow(program, 1, "USD", plan, None, NOON))
        return program

    yield store
    for program in made:
        await forget(owner, program)
        await owner.execute(b"DELETE FROM rewards.plan_version WHERE program_id = %(p)s", {"p": program})


def forbidden_today() -> plan_pb2.Plan:
    """A plan that has a meaning, and is not published any more: an amount, a percentage and a hold that are too large,
    an id that stands twice."""
    plan = three_levels(timedelta(days=4_000))
    huge = points_rule(rule_id="huge", asset="USD")
    huge.amount.fixed.amount_minor = 3 * 10**15
    generous = points_rule(rule_id="huge", asset="USD")
    generous.amount.percent.percent = "1500"
    plan.rules.extend([huge, generous])
    return plan


async def test_what_is_forbidden_since_does_not_stop_what_was_published(ledger: Ledger, stored: Stored) -> None:
    plan = forbidden_today()
    with pytest.raises(UplineError) as refused:
        read_plan("shop", 1, "USD", plan, None)
    assert [each.field for each in refused.value.violations] == [
        "plan.rules[0].hold.duration", "plan.rules[1].amount.fixed.amount_minor",
        "plan.rules[2].amount.percent.percent", "plan.rules[2].rule_id",
    ]  # fmt: skip
    program = await stored(plan.SerializeToString())
    await ledger.settle(message(recorded(program, "c1", 1000)))
    # All but the fixed amount, which is beyond the bound on any reward, whatever the plan or the order.
    assert await ledger.wallet(program, "vera") == {"USD": (0, 15_000)}
    assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
    await ledger.settle(message(reversed_(program, "c1", "r1", 1000, completes=True)))
    assert await ledger.wallet(program, "vera") == {"USD": (0, 0)}
    assert (await ledger.audit(program)).balanced


async def test_a_stored_condition_that_grows_pays_nothing_says_so_and_stops_nobody(
    ledger: Ledger, published: Published, stored: Stored
) -> None:
    """It doubles a text 26 times: evaluated, it took the memory of the process, at every start again."""
    plan = three_levels()
    plan.rules.append(points_rule(rule_id="doubling", asset="USD"))
    plan.rules[-1].amount.fixed.amount_minor = 500
    plan.rules[-1].when = f"[event.conversion_id]{'.map(a, a + a)' * 26}.size() == 1"
    with pytest.raises(UplineError, match=r"rule 'doubling': may take 2,147,\d+,\d+ steps .* at most 1,000,000"):
        read_plan("shop", 1, "USD", plan, None)
    program, other = await stored(plan.SerializeToString()), await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000), recorded(other, "c1", 1000)))
    assert await ledger.wallet(program, "maria") == await ledger.wallet(other, "maria") != {}
    doubling = (await ledger.explain(program, "c1")).derivations[-1]
    assert doubling.outcome == reward_pb2.OUTCOME_CONDITION_ERROR
    assert "it may take 134,218,094 steps here, and a condition has 1,000,000 at most" in doubling.sentence
    assert (await ledger.audit(program)).balanced


async def test_a_plan_that_cannot_be_read_keeps_nobody_else(
    ledger: Ledger, published: Published, stored: Stored, clock: ManualClock, owner: Owner
) -> None:
    unreadable = await stored(three_levels(timedelta(days=7)).SerializeToString() + UNKNOWN_FIELD)
    plan = three_levels(timedelta(days=7))
    plan.assets[0].expires_after.FromTimedelta(timedelta(days=1))
    program = await published(plan)
    deps = ledger.rewards.service.deps
    before = clock.now()
    clock.set(NOON)
    try:
        for _ in range(2):
            with pytest.raises(UplineError, match=r"PLAN_UNREADABLE.*has field number 2047") as failed:
                await ledger.settle(message(recorded(unreadable, "c1", 1000), recorded(program, "c1", 1000)))
            assert f"version 1 of the plan of '{unreadable}'" in failed.value.message
        assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
        # A hold of the unreadable program, due before the others.
        await owner.execute(
            b"INSERT INTO rewards.hold (program_id, conversion_id, due_time, record_time) VALUES (%(p)s, 'c1', %(t)s, "
            b"%(t)s)",
            {"p": unreadable, "t": NOON},
        )
        clock.set(NOON + timedelta(days=7))
        await until(lambda: release_due_holds(deps), lambda: ledger.wallet(program, "maria"), {"USD": (0, 50)})
        await send_payouts(deps)
        clock.set(NOON + timedelta(days=8))
        await until(lambda: expire(deps), lambda: ledger.wallet(program, "maria"), {"USD": (0, 0)})
    finally:
        clock.set(before)
    for call in (ledger.wallet(unreadable, "maria"), ledger.explain(unreadable, "c1")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert (caught.value.code(), reason_of(caught.value)) == (
            grpc.StatusCode.FAILED_PRECONDITION, "PLAN_UNREADABLE",
        )  # fmt: skip
    told = (await ledger.audit(unreadable)).findings[0]
    assert (told.check, told.program_id) == ("PLAN_UNREADABLE", unreadable)
    assert "has field number 2047" in told.detail
    assert (await ledger.audit(program)).balanced


async def until(work: Callable[[], Awaitable[int]], look: Callable[[], Awaitable[Any]], wanted: object) -> None:
    """Works until it looks as wanted: the service's own job may be at some of it."""
    for _ in range(200):
        with suppress(KeyError, UplineError):
            await work()
        if await look() == wanted:
            return
    assert await look() == wanted
