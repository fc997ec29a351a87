"""Points that nobody uses in time go, oldest first, after a warning."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest_asyncio
from upline.rewards.v1 import events_pb2, plan_pb2
from upline.type.v1 import asset_pb2

from chassis.clock import ManualClock
from chassis.times import to_datetime
from services.rewards.commands.expiry import expire
from services.rewards.commands.release import release_due_holds
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_PAID, Treasury
from tests.integration.rewards.spending import Spender, spending_plan

DAY = timedelta(days=1)
LIFE = timedelta(days=365)
EXPIRY, REVERSAL = 17, 3


def expiring_plan() -> plan_pb2.Plan:
    """Points that live a year."""
    plan = spending_plan()
    plan.assets[0].expires_after.FromTimedelta(LIFE)
    return plan


@pytest_asyncio.fixture
async def later(clock: ManualClock) -> AsyncIterator[ManualClock]:
    """A clock that goes back after the test."""
    before = clock.now()
    clock.set(NOON)
    yield clock
    clock.set(before)


async def on(ledger: Ledger, clock: ManualClock, days: float) -> None:
    """Lets so many days pass after noon; everything that expires by then has expired."""
    clock.set(NOON + days * DAY)
    while await expire(ledger.rewards.service.deps):
        pass


async def warnings(servers: Servers, program: str) -> list[tuple[str, int, float]]:
    """(participant, amount, days after noon) of what was announced."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT payload FROM rewards.outbox ORDER BY outbox_id")).fetchall()
    return [
        (each.beneficiary_id, each.amount_minor, (to_datetime(each.expire_time) - NOON) / DAY)
        for (payload,) in rows
        for event in events_pb2.RewardEventBatch.FromString(payload).events
        if event.program_id == program and event.change == events_pb2.REWARD_CHANGE_EXPIRING
        for each in event.earnings
    ]


async def test_points_expire_oldest_first_after_a_warning(
    ledger: Ledger, published: Published, later: ManualClock, servers: Servers
) -> None:
    vera = Spender(ledger, await published(expiring_plan()))
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 10 * DAY)
    await on(ledger, later, 20)
    await vera.authorize("r1", 30)
    await vera.capture("r1")
    await on(ledger, later, 357)
    assert not await warnings(servers, vera.program)
    for day in (358, 359, 364.999):
        await on(ledger, later, day)
    assert await warnings(servers, vera.program) == [("vera", 70, 365)]
    assert await vera.balance() == (0, 120, 0, 0)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 0, 0)
    await on(ledger, later, 370)
    await on(ledger, later, 375)
    assert await vera.balance() == (0, 0, 0, 0)
    assert (await warnings(servers, vera.program))[1:] == [("vera", 50, 375)]
    expired = [each for each in await ledger.transfers(vera.program, "vera") if each.kind == EXPIRY]
    assert [(each.amount_minor, each.credit_account) for each in expired] == [(50, "expired"), (70, "expired")]
    await vera.assert_clean()


async def test_what_comes_back_is_as_old_as_it_was(ledger: Ledger, published: Published, later: ManualClock) -> None:
    vera = Spender(ledger, await published(expiring_plan()))
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 100 * DAY)
    await on(ledger, later, 101)
    await vera.authorize("r1", 60)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 60, 0)
    await vera.void("r1")
    assert await vera.balance() == (0, 110, 0, 0)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 0, 0)
    await vera.assert_clean()


async def test_a_payout_that_comes_back_is_as_old_as_it_was(
    ledger: Ledger, published: Published, later: ManualClock
) -> None:
    plan = expiring_plan()
    plan.assets[0].kind = asset_pb2.ASSET_KIND_VIRTUAL
    plan.assets[0].withdrawable = True
    plan.payouts.add(asset="points", methods=[plan_pb2.PayoutMethod(method="bank", fee_minor=5)])
    vera = Treasury(ledger, await published(plan), "vera")
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 100 * DAY)
    await on(ledger, later, 101)
    for name, amount in (("p1", 60), ("p2", 30)):
        await vera.ask(name, amount, asset="points")
    await vera.batch("b1")
    for name in ("p1", "p2"):
        await vera.act("Report", name, outcome=SAID_PAID)
    await vera.act("Report", "p1", outcome=SAID_BOUNCED)
    # Of the first 100 the fee of 5 and 30 are gone for good: 65 are left of them, and expire together.
    assert await vera.balance() == (0, 115, 0, 0)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 0, 0)
    # What comes back later had been the oldest, whose time has passed.
    await vera.act("Report", "p2", outcome=SAID_BOUNCED)
    assert await vera.balance() == (0, 75, 0, 0)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 0, 0)
    # It began no life of its own beside that.
    for day in (465, 467, 731):
        await on(ledger, later, day)
        assert await vera.balance() == (0, 0, 0, 0)
    await vera.assert_clean()


async def test_a_gift_begins_a_life_of_its_own(ledger: Ledger, published: Published, later: ManualClock) -> None:
    vera = Spender(ledger, await published(expiring_plan()))
    olga = Spender(ledger, vera.program, "olga")
    await vera.earn(100, "c1")
    await on(ledger, later, 300)
    await vera.give("g1", "olga", 40)
    await on(ledger, later, 365)
    assert [await each.balance() for each in (vera, olga)] == [(0, 0, 0, 0), (0, 40, 0, 0)]
    await on(ledger, later, 665)
    assert await olga.balance() == (0, 0, 0, 0)
    await vera.assert_clean()


async def reversals(vera: Spender) -> list[tuple[str, int]]:
    """(account, amount) of what was taken back, newest first."""
    transfers = await vera.ledger.transfers(vera.program, "vera")
    return [(each.debit_account, each.amount_minor) for each in transfers if each.kind == REVERSAL]


async def test_what_expired_is_not_owed_when_it_is_taken_back(
    ledger: Ledger, published: Published, later: ManualClock
) -> None:
    vera = Spender(ledger, await published(expiring_plan()))
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 10 * DAY)
    await on(ledger, later, 20)
    await vera.authorize("r1", 30)
    await vera.capture("r1")
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 50, 0, 0)
    # 70 of the first 100 have expired. What is taken back of the second is there; of the first it is what has expired.
    await ledger.settle(
        message(reversed_(vera.program, "c2", "t1", 10), reversed_(vera.program, "c1", "t2", 60, minutes_later=2))
    )
    assert await vera.balance() == (0, 40, 0, 0)
    # The last 40: 10 that expired, and 30 that were used, for which the second order pays.
    await ledger.settle(message(reversed_(vera.program, "c1", "t3", 40, completes=True, minutes_later=3)))
    assert await vera.balance() == (0, 10, 0, 0)
    assert sorted(await reversals(vera)) == [
        ("available:vera", 10), ("available:vera", 30), ("expired", 10), ("expired", 60)
    ]  # fmt: skip
    await on(ledger, later, 375)
    assert await vera.balance() == (0, 0, 0, 0)
    await ledger.settle(message(reversed_(vera.program, "c2", "t4", 40, completes=True, minutes_later=4)))
    assert await vera.balance() == (0, 0, 0, 30)
    await vera.assert_clean()


async def test_what_expired_before_a_reward_came_pays_for_none_of_it(
    ledger: Ledger, published: Published, later: ManualClock
) -> None:
    plan = expiring_plan()
    plan.rules[0].hold.duration.FromTimedelta(30 * DAY)
    vera = Spender(ledger, await published(plan))
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 380 * DAY)
    for day in (30, 395, 410):
        later.set(NOON + day * DAY)
        while await release_due_holds(ledger.rewards.service.deps):
            pass
        await on(ledger, later, day)
    assert await vera.balance() == (0, 50, 0, 0)
    await vera.authorize("r1", 50)
    await vera.capture("r1")
    # The first 100 expired while the second reward was held already, and nobody could have used these.
    await ledger.settle(message(reversed_(vera.program, "c2", "t1", 50, completes=True)))
    assert await vera.balance() == (0, 0, 0, 50)
    await ledger.settle(message(reversed_(vera.program, "c1", "t2", 100, completes=True, minutes_later=2)))
    assert await vera.balance() == (0, 0, 0, 50)
    assert await reversals(vera) == [("expired", 100), ("debt:vera", 50)]
    await vera.assert_clean()


async def test_what_is_taken_back_leaves_the_rest_its_age(
    ledger: Ledger, published: Published, later: ManualClock
) -> None:
    vera = Spender(ledger, await published(expiring_plan()))
    await vera.earn(100, "c1")
    await vera.earn(50, "c2", NOON + 10 * DAY)
    await on(ledger, later, 20)
    await ledger.settle(message(reversed_(vera.program, "c2", "t1", 50, completes=True)))
    assert await vera.balance() == (0, 100, 0, 0)
    await on(ledger, later, 365)
    assert await vera.balance() == (0, 0, 0, 0)
    await vera.assert_clean()
