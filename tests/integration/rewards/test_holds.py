"""Holds: value waits in `held`, and leaves it exactly once."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from chassis.clock import ManualClock
from services.rewards.commands.release import release_due_holds
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels

WEEK = timedelta(days=7)


@pytest.fixture
def moved_clock(clock: ManualClock) -> Iterator[ManualClock]:
    """A clock that goes back after the test."""
    before = clock.now()
    clock.set(NOON)
    yield clock
    clock.set(before)


async def release_all(ledger: Ledger) -> None:
    """Releases whatever is due."""
    while await release_due_holds(ledger.rewards.service.deps):
        pass


async def test_a_hold_ends_at_its_time(ledger: Ledger, published: Published, moved_clock: ManualClock) -> None:
    program = await published(three_levels(WEEK))
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
    moved_clock.set(NOON + WEEK - timedelta(microseconds=1))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
    moved_clock.set(NOON + WEEK)
    await release_all(ledger)
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 50)}
    assert [each.kind for each in await ledger.transfers(program, "maria")] == [2, 1]
    assert (await ledger.audit(program)).balanced


async def test_a_refund_takes_from_the_hold_and_the_rest_is_released(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(three_levels(WEEK))
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r1", 300)))
    assert await ledger.wallet(program, "maria") == {"USD": (35, 0)}
    moved_clock.set(NOON + WEEK)
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 35)}
    await ledger.settle(message(reversed_(program, "c1", "r2", 700, completes=True, minutes_later=60 * 24 * 8)))
    assert await ledger.wallet(program, "maria") == {"USD": (0, 0)}
    assert (await ledger.audit(program)).balanced


async def test_a_fully_refunded_hold_releases_nothing(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(three_levels(WEEK))
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r1", 1000, completes=True)))
    moved_clock.set(NOON + WEEK)
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 0)}
    assert [each.kind for each in await ledger.transfers(program, "maria")] == [3, 1]


async def test_an_old_conversion_is_not_held(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels(WEEK))
    await ledger.settle(message(recorded(program, "c1", 1000, occurred_at=datetime(1997, 1, 1, tzinfo=NOON.tzinfo))))
    assert await ledger.wallet(program, "maria") == {"USD": (0, 50)}


async def test_releases_and_refunds_at_once_keep_the_ledger_right(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(three_levels(WEEK))
    numbers = range(60)
    await ledger.settle(message(*(recorded(program, f"c{number}", 1000) for number in numbers)))
    moved_clock.set(NOON + WEEK)
    refunds = [message(reversed_(program, f"c{number}", f"r{number}", 500)) for number in numbers]
    await asyncio.gather(
        *(ledger.settle(each) for each in refunds), *(release_due_holds(ledger.rewards.service.deps) for _ in range(20))
    )
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 60 * 25)}
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings
