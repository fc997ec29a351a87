"""A fact that cannot be settled harms itself only: what came with it, of whatever program, is paid."""

import asyncio

import pytest
from sqlalchemy import text
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from services.rewards.commands.release import roll_up_balances
from services.rewards.domain.conversion import OverReversedError
from services.rewards.wire.events import UnknownFactError
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels
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


async def test_amounts_beyond_64_bits_together_leave_the_others_alone(ledger: Ledger, published: Published) -> None:
    rule = plan_pb2.Rule(
        rule_id="huge",
        on=["order"],
        asset="points",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="900")),
    )
    points = asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=2, per_currency_unit="1000")
    program = await published(plan_pb2.Plan(assets=[points], rules=[rule]))
    other = await published(three_levels())
    with pytest.raises(Exception, match="out of range"):
        await ledger.settle(
            message(recorded(program, "huge", 10**15), recorded(program, "fair", 10), recorded(other, "c1", 1000))
        )
    assert await ledger.available(program, "maria", asset="points") == [90_000]
    assert await ledger.available(other, "maria") == [50]


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


async def test_a_program_that_owes_more_than_64_bits_hold_stops_nobody(ledger: Ledger, published: Published) -> None:
    rule = plan_pb2.Rule(
        rule_id="huge",
        on=["order"],
        asset="points",
        to=plan_pb2.Beneficiary(buyer=plan_pb2.Buyer()),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="900")),
    )
    points = asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=2, per_currency_unit="1000")
    program = await published(plan_pb2.Plan(assets=[points], rules=[rule]))
    buyers = ["vera", "maria", "olga"]
    await ledger.settle(message(*(recorded(program, f"of-{each}", 10**15, buyer=each) for each in buyers)))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await roll_up_balances(ledger.rewards.service.deps) and await deltas(ledger, program):
            await asyncio.sleep(0.05)  # the service's own job holds the lock
    assert await deltas(ledger, program) == 0
    assert await ledger.available(program, *buyers, asset="points") == [9 * 10**18] * 3
    assert (await ledger.audit(program)).balanced


async def deltas(ledger: Ledger, program: str) -> int:
    """How many of the program's deltas are not in its balances yet."""
    async with ledger.rewards.service.deps.database.transaction() as conn:
        rows = await conn.execute(
            text("SELECT count(*) FROM balance_delta WHERE program_id = :program_id"), {"program_id": program}
        )
        return int(rows.scalar_one())
