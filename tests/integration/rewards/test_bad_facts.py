"""A fact that cannot be settled harms itself only: what came with it, of whatever program, is paid."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import plan_pb2, reward_pb2
from upline.type.v1 import asset_pb2

from chassis.clock import ManualClock
from services.rewards.commands.release import release_due_holds, roll_up_balances
from services.rewards.domain.conversion import OverReversedError
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.store.tallies import TallyOverflowError
from services.rewards.wire.events import UnknownFactError
from tests.errors import reason_of
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Owner,
    Published,
    message,
    points_rule,
    recorded,
    reversed_,
    three_levels,
)
from tests.running import DEADLINE_SECONDS


async def test_a_reversal_of_too_much_leaves_the_others_alone(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    numbers = range(40)
    conversions = [recorded(program, f"c{number}", 1000) for number in numbers]
    refunds = [reversed_(program, f"c{number}", f"r{number}", 1001 if number == 17 else 1000) for number in numbers]
    payload = message(*conversions, *refunds)
    for _ in range(2):  # delivered again, it fails again and changes nothing
        with pytest.raises(OverReversedError, match="c17"):
            await ledger.settle(payload)
        assert await ledger.available(program, "maria", "olga", "petr") == [50, 20, 10]
    # Put right, the conversion is taken back like the others.
    await ledger.settle(message(reversed_(program, "c17", "r17", 1000, completes=True)))
    assert await ledger.available(program, "maria", "olga", "petr") == [0, 0, 0]
    assert (await ledger.audit(program)).balanced


def in_points(to: plan_pb2.Beneficiary, **fields: object) -> plan_pb2.Plan:
    """900 % in points of which a thousand are worth a dollar: nine thousand hundredths of a point for a cent."""
    rule = points_rule(
        rule_id="huge", to=to, amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="900")), **fields
    )
    points = asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=2, per_currency_unit="1000")
    return plan_pb2.Plan(assets=[points], rules=[rule])


async def test_an_absurd_order_pays_nothing_and_says_why(ledger: Ledger, published: Published) -> None:
    program = await published(in_points(plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3))))
    other = await published(three_levels())
    await ledger.settle(
        message(recorded(program, "huge", MAX_AMOUNT_MINOR), recorded(program, "fair", 10), recorded(other, "c1", 1000))
    )
    assert await ledger.available(program, "maria", asset="points") == [90_000]
    assert await ledger.available(other, "maria") == [50]
    told = (await ledger.explain(program, "huge")).derivations
    assert {each.outcome for each in told} == {reward_pb2.OUTCOME_CAPPED}
    assert told[0].exact_minor == str(9_000 * MAX_AMOUNT_MINOR)
    assert told[0].steps == [
        "Cap on each reward, at most 10000000000000.00 points: 0.00 points of 90000000000000000.00 points fits."
    ]
    await ledger.settle(message(reversed_(program, "huge", "r1", MAX_AMOUNT_MINOR, completes=True)))
    assert (await ledger.audit(program)).balanced


async def test_sums_have_no_bound(ledger: Ledger, published: Published, clock: ManualClock, owner: Owner) -> None:
    """Ten thousand of the largest rewards there can be: for one conversion, in one wallet, due at once."""
    plan = three_levels()
    del plan.rules[:]
    for number in range(200):
        rule = points_rule(rule_id=f"r{number}", asset="USD")
        if number >= 50:
            rule.on[:] = ["flood"]
            rule.to.upline.from_level, rule.to.upline.to_level = 1, 64
        rule.amount.fixed.amount_minor = MAX_AMOUNT_MINOR
        rule.hold.duration.FromTimedelta(timedelta(days=7))
        plan.rules.append(rule)
    program = await published(plan)
    upline = tuple(f"p{level}" for level in range(64))
    before = clock.now()
    clock.set(NOON)
    try:
        await ledger.settle(message(recorded(program, "flood", 1000, event_type="flood", upline=upline)))
        await ledger.settle(message(*(recorded(program, f"c{number}", 1000) for number in range(200))))
        clock.set(NOON + timedelta(days=7))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await release_due_holds(ledger.rewards.service.deps) or await left(owner, "hold", program):
                pass
    finally:
        clock.set(before)
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await roll_up_balances(ledger.rewards.service.deps) and await left(owner, "balance_delta", program):
            await asyncio.sleep(0.05)  # the service's own job holds the lock
    assert await ledger.wallet(program, "p63") == {"USD": (0, 150 * MAX_AMOUNT_MINOR)}
    # No field of the contract holds what is there; and it says so.
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.wallet(program, "vera")
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.OUT_OF_RANGE, "SUM_TOO_LARGE")
    # What is to be taken back finds it all the same.
    await ledger.settle(
        message(*(reversed_(program, f"c{number}", f"r{number}", 1000, completes=True) for number in range(20)))
    )
    assert await ledger.wallet(program, "vera") == {"USD": (0, 180 * 50 * MAX_AMOUNT_MINOR)}
    assert (await ledger.audit(program)).balanced


async def left(owner: Owner, table: str, program: str) -> int:
    """How many rows of the program are in a table."""
    rows = await owner.execute(
        f"SELECT count(*) FROM rewards.{table} WHERE program_id = %(p)s".encode(), {"p": program}
    )
    found = await rows.fetchone()
    return int(str(found[0])) if found else 0


async def test_a_counter_that_no_column_holds_sets_its_facts_aside(
    ledger: Ledger, published: Published, owner: Owner
) -> None:
    plan = three_levels()
    plan.counters.add(
        counter_id="turnover",
        on=["order"],
        of={"upline": {"from_level": 1, "to_level": 1}},
        measure=plan_pb2.MEASURE_VOLUME,
    )
    program = await published(plan)
    await ledger.settle(message(recorded(program, "c1", 1000)))
    await owner.execute(
        b"UPDATE rewards.tally SET value = %(v)s WHERE program_id = %(p)s", {"v": 2**63 - 1_001, "p": program}
    )
    orders = message(
        recorded(program, "c2", 1000),
        recorded(program, "c3", 1000, record_time=NOON + timedelta(seconds=1)),
        recorded(program, "of-others", 1000, upline=("olga",)),
    )
    with pytest.raises(TallyOverflowError, match=program):
        await ledger.settle(orders)
    assert await ledger.available(program, "maria", "olga") == [100, 20 * 2 + 50]


async def test_a_fact_of_a_later_version_is_set_aside_and_not_taken_for_another(
    ledger: Ledger, published: Published
) -> None:
    program = await published(three_levels())
    later = events_pb2.ConversionEvent(event_id=f"dispute:{program}/c1")
    late = recorded(program, "c2", 1000, occurred_at=NOON)
    late.recorded.conversion.create_time.seconds = 2**40
    with pytest.raises(UnknownFactError, match="dispute"):
        await ledger.settle(message(later, recorded(program, "c1", 1000), late))
    assert await ledger.available(program, "maria") == [50]
    with pytest.raises(ValueError, match="timestamp"):
        await ledger.settle(message(late))
