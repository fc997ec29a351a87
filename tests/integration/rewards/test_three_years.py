"""Debts outlive what is cleaned: three years after, refunds, rebuilds and audits find all they read."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import psycopg
import pytest
from upline.rewards.v1 import plan_pb2, reward_pb2

from chassis.clock import ManualClock
from chassis.retention import sweep
from services.rewards import jobs
from services.rewards.settings import RewardsSettings
from tests.conftest import Servers
from tests.errors import reason_of
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels
from tests.integration.rewards.test_rebuild import rebuilt
from tests.integration.rewards.test_waiting import approve, event, reject, release_all
from tests.running import DEADLINE_SECONDS

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)


@pytest.fixture
def moved_clock(clock: ManualClock, servers: Servers) -> Iterator[ManualClock]:
    """A clock that goes back after the test, with what was swept by it."""
    before = clock.now()
    clock.set(NOON + 2 * HOUR)
    yield clock
    clock.set(before)
    with psycopg.connect(servers.postgres.url) as conn:
        conn.execute("DELETE FROM rewards.retention")


async def test_what_was_decided_stays_when_what_was_waited_for_is_gone(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    plan = three_levels()
    plan.rules[0].hold.MergeFrom(plan_pb2.Hold(until_event="confirmed", approval=True))
    orders = plan.counters.add(
        counter_id="orders", on=["order"], measure=plan_pb2.MEASURE_CONVERSIONS, period=plan_pb2.PERIOD_DAY
    )
    orders.of.buyer.SetInParent()
    program = await published(plan)
    await ledger.settle(message(*(recorded(program, name, 10_000) for name in ("paid", "refused", "open"))))
    await ledger.settle(message(event(program, "e1", target="paid"), event(program, "e2", target="refused")))
    await approve(ledger, program, "paid")
    await reject(ledger, program, "refused")
    await release_all(ledger)
    wallet = await ledger.wallet(program, "maria")
    assert wallet == {"USD": (500, 500)}

    deps = ledger.rewards.service.deps
    for year in range(1, 4):
        moved_clock.set(NOON + year * YEAR + timedelta(days=60))
        for life in jobs.lives(RewardsSettings(**servers.settings("rewards").model_dump()), moved_clock):
            assert await sweep(deps.database, moved_clock, life) is not None
    with psycopg.connect(servers.postgres.url) as conn:
        waits = conn.execute("SELECT conversion_id FROM rewards.hold_wait WHERE program_id = %s", [program]).fetchall()
        events = conn.execute("SELECT count(*) FROM rewards.awaited_event WHERE program_id = %s", [program]).fetchone()
    assert sorted(name for (name,) in waits) == ["open", "refused"]
    assert events == (0,)

    assert await ledger.wallet(program, "maria") == wallet
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await approve(ledger, program, "paid")
    assert reason_of(caught.value) == "NOTHING_WAITS"
    assert {each.state for each in await reject(ledger, program, "refused")} == {reward_pb2.REWARD_STATE_REJECTED}
    views = await ledger.reader.ListRewards(
        reward_pb2.ListRewardsRequest(program_id=program, beneficiary_id="maria"), timeout=DEADLINE_SECONDS
    )
    assert {each.conversion_id: each.state for each in views.rewards} == {
        "paid": reward_pb2.REWARD_STATE_AVAILABLE,
        "refused": reward_pb2.REWARD_STATE_REJECTED,
        "open": reward_pb2.REWARD_STATE_HELD,
    }

    # Refunds of all three: what was rejected is not taken back a second time.
    await ledger.settle(message(*(reversed_(program, each, f"r-{each}", 4_000) for each in ("paid", "refused"))))
    await ledger.settle(message(recorded(program, "paid", 10_000)))  # a repetition changes nothing
    assert await ledger.wallet(program, "maria") == {"USD": (500, 300)}
    assert (await ledger.audit(program)).balanced
    assert (await rebuilt(servers, program)).differences == []
