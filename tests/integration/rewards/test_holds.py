"""Holds: value waits in `held`, and leaves it exactly once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta

import pytest
from google.protobuf.message import DecodeError

from chassis.clock import ManualClock
from services.rewards.commands.deps import Deps
from services.rewards.commands.release import release_due_holds, release_ended_waits
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Owner,
    Published,
    message,
    recorded,
    reversed_,
    three_levels,
)
from tests.running import DEADLINE_SECONDS

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
    while await release_due_holds(ledger.job_deps):
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


async def fails(release: Callable[[Deps], Awaitable[int]], deps: Deps, error: type[Exception]) -> None:
    """Releases until it fails: the service's own job may be at it, and is passed over."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                await release(deps)
            except error:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("release", [release_due_holds, release_ended_waits])
async def test_a_hold_that_cannot_be_released_keeps_no_other_from_it(
    ledger: Ledger,
    published: Published,
    moved_clock: ManualClock,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    release: Callable[[Deps], Awaitable[int]],
) -> None:
    monkeypatch.setattr("services.rewards.commands.release.HOLDS_A_TRANSACTION", 4)
    deps = ledger.rewards.service.deps
    plan = three_levels(WEEK)
    if release is release_ended_waits:
        plan.rules[0].hold.until_event = "confirmed"
    program, other = await published(plan), await published(plan)
    await ledger.settle(
        message(
            *(recorded(each, f"c{number}", 1000) for each in (program, other) for number in range(10)),
            *(recorded(each, "e1", 0, event_type="confirmed") for each in (program, other)),
        )
    )
    # Enough of them to fill a part, the first of all among them.
    spoilt = ["c0", "c1", "c2", "c3", "c7"]
    rows = await owner.execute(
        b"SELECT conversion_id, event FROM rewards.conversion WHERE program_id = %(p)s AND conversion_id = ANY(%(c)s)",
        {"p": program, "c": spoilt},
    )
    before = await rows.fetchall()
    change = b"UPDATE rewards.conversion SET event = %(e)s WHERE program_id = %(p)s AND conversion_id = %(c)s"
    for name in spoilt:
        await owner.execute(change, {"e": b"\xff\xff", "p": program, "c": name})
    try:
        moved_clock.set(NOON + WEEK)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while [await ledger.wallet(each, "maria") for each in (program, other)] != [
                {"USD": (50 * 5, 50 * 5)},
                {"USD": (0, 50 * 10)},
            ]:
                await fails(release, deps, DecodeError)
        await fails(release, deps, DecodeError)
    finally:
        for name, event in before:
            await owner.execute(change, {"e": event, "p": program, "c": name})
    # Mended, they are released like the others.
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await ledger.wallet(program, "maria") != {"USD": (0, 50 * 10)}:
            await release(deps)
    assert (await ledger.audit(program)).balanced
