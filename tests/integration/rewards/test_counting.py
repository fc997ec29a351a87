"""Programs that count: whatever comes, in whatever order, how often and through how many workers at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from upline.attribution.v1 import conversion_pb2, events_pb2
from upline.rewards.v1 import plan_pb2

from chassis.clock import ManualClock
from chassis.database import Database, Work
from services.rewards.__main__ import RewardsService
from services.rewards.commands import settle as settling
from services.rewards.commands.deps import Deps
from services.rewards.commands.rebuild import rebuild
from services.rewards.consumer import ConversionEvents
from services.rewards.store import plans
from tests.conftest import Servers
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Published,
    message,
    recorded,
    reversed_,
    settled,
    three_levels,
)
from tests.integration.rewards.counted import BUYER, THREE, cap, counter, plan, rule, tier, tiers
from tests.running import running

CLIENTS = 64
Tallies = dict[tuple[str, str, str], int]


def rich() -> plan_pb2.Plan:
    """Caps, a budget, tiers of every mode, the first order, all at once."""
    volume = counter("volume", plan_pb2.MEASURE_VOLUME, plan_pb2.PERIOD_MONTH, THREE)
    heads = counter("heads", plan_pb2.MEASURE_REFEREES)
    orders = counter("orders", of=BUYER, period=plan_pb2.PERIOD_DAY)
    marginal = tiers("volume", plan_pb2.TIER_MODE_MARGINAL, tier(20_000, percent="12.5"), tier(60_000, percent="15"))
    return plan(
        rule("upline", to=THREE, caps=[cap(plan_pb2.CAP_SCOPE_BENEFICIARY, 9_000, plan_pb2.PERIOD_MONTH),
            cap(plan_pb2.CAP_SCOPE_REFEREE, 4_000)]),
        rule("volume", "10", tiers=marginal),
        rule("bonus", "", tiers=tiers("heads", plan_pb2.TIER_MODE_BONUS, tier(2, amount_minor=500),
            tier(4, amount_minor=900))),
        rule("welcome", "", to=BUYER, amount=plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=111)),
            occurrence=plan_pb2.Occurrence(first=1)),
        rule("third", "1", to=BUYER, occurrence=plan_pb2.Occurrence(nth=3)),
        rule("day", "3", to=BUYER, tiers=tiers("orders", plan_pb2.TIER_MODE_NEXT, tier(2, percent="5"))),
        counters=[volume, heads, orders],
        budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=150_000, period=plan_pb2.PERIOD_MONTH)],
    )  # fmt: skip


def trade(program: str, seed: int, count: int = 150) -> list[events_pb2.ConversionEvent]:
    """Orders of two months, some of them refunded in parts or whole."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        people = chance.sample([f"p{each}" for each in range(10)], 4)
        moment = NOON + timedelta(days=chance.randint(0, 45), minutes=number)
        amount = chance.choice([0, 700, 5_000, 33_333])
        events.append(
            recorded(program, f"c{number}", amount, buyer=people[0], upline=tuple(people[1:]), occurred_at=moment,
                record_time=moment)
        )  # fmt: skip
        left = amount
        for part in range(chance.randint(0, 3)):
            taken = left if chance.random() < 0.4 else chance.randint(0, left)
            if taken:
                left -= taken
                minutes = 60 * 24 * 50 + number * 3 + part
                events.append(
                    reversed_(
                        program, f"c{number}", f"r{number}-{part}", taken, completes=not left, minutes_later=minutes
                    )
                )
    return events


async def tallies_of(ledger: Ledger, program: str) -> Tallies:
    """Everything that is counted, but for what is no longer."""
    async with ledger.rewards.service.deps.database.transaction() as conn:
        rows = await conn.execute(
            text("SELECT name, subject, period, value FROM tally WHERE program_id = :p AND value <> 0"), {"p": program}
        )
        return {(row.name, row.subject, row.period): row.value for row in rows}


async def assert_rebuilt(servers: Servers, program: str) -> None:
    """The stored tallies are what the events come to."""
    result = await rebuild(servers.postgres.url, program, lambda _total: lambda _done: None, jobs=1)
    assert result.differences == []
    assert result.conversions


@pytest_asyncio.fixture
async def workers(ledger: Ledger, servers: Servers, clock: ManualClock) -> AsyncIterator[list[Deps]]:
    """Two services on one database."""
    async with running(RewardsService(servers.settings("rewards"), clock)) as other:
        yield [ledger.rewards.service.deps, other.service.deps]


async def in_parallel(workers: list[Deps], messages: list[bytes], clients: int = CLIENTS) -> None:
    """Settles the messages from so many clients at once."""
    waiting = list(messages)

    async def work(deps: Deps) -> None:
        while waiting:
            await settled(deps, [waiting.pop()])

    await asyncio.gather(*(work(workers[each % len(workers)]) for each in range(clients)))


async def test_a_duplicate_changes_nothing(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(rich())
    events = trade(program, 1, 40)
    await ledger.settle(message(*events))
    once = await tallies_of(ledger, program)
    wallets = [await ledger.wallet(program, f"p{each}") for each in range(10)]
    assert once
    await ledger.settle(message(*events), message(*events[:7]))
    await ledger.settle(*(message(each) for each in events))
    assert await tallies_of(ledger, program) == once
    assert [await ledger.wallet(program, f"p{each}") for each in range(10)] == wallets
    await assert_rebuilt(servers, program)


async def test_parts_of_what_arrives_at_once_take_effect_in_their_order(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten transactions, of which every other one is slow to begin, share a budget."""
    program = await published(plan(rule(), budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=3_000)]))
    pin_versions, begun = plans.pin_versions, 0

    async def slow_now_and_then(*arguments: Any) -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0.05 * (begun % 2))
        await pin_versions(*arguments)

    monkeypatch.setattr(settling, "FACTS_A_TRANSACTION", 5)
    monkeypatch.setattr(plans, "pin_versions", slow_now_and_then)
    moments = [NOON + timedelta(minutes=number) for number in range(50)]
    await ledger.settle(
        message(*(recorded(program, f"c{each.isoformat()}", 1_000, record_time=each) for each in moments))
    )
    assert await order_settled(ledger, program) == moments


async def test_a_part_that_meets_a_known_fact_keeps_its_place(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has to look at each of its facts, and the parts behind it wait as long as that takes."""
    program = await published(plan(rule(), budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=3_000)]))
    moments = [NOON + timedelta(minutes=number) for number in range(50)]
    facts = [recorded(program, f"c{each.isoformat()}", 1_000, record_time=each) for each in moments]
    known = slice(0, 50, 10)
    await ledger.settle(message(*facts[known]))
    monkeypatch.setattr(settling, "FACTS_A_TRANSACTION", 5)
    await ledger.settle(message(*facts))
    new = [each for each in moments if each not in moments[known]]
    assert await order_settled(ledger, program) == moments[known] + new


async def order_settled(ledger: Ledger, program: str) -> list[datetime]:
    """When a program's conversions were recorded, in the order in which they took effect."""
    async with ledger.rewards.service.deps.database.transaction() as conn:
        rows = await conn.execute(
            text("SELECT record_time FROM conversion WHERE program_id = :p ORDER BY position"), {"p": program}
        )
        return list(rows.scalars())


async def test_what_comes_late_counts_where_it_belongs(ledger: Ledger, published: Published) -> None:
    """A cap of a day: an order of yesterday uses yesterday's room, whenever it is told."""
    program = await published(plan(rule(caps=[cap(plan_pb2.CAP_SCOPE_BENEFICIARY, 150, plan_pb2.PERIOD_DAY)])))
    yesterday = NOON - timedelta(days=1)
    await ledger.settle(message(recorded(program, "today", 1_000)))
    await ledger.settle(message(recorded(program, "late", 1_000, occurred_at=yesterday, record_time=NOON)))
    await ledger.settle(message(recorded(program, "later", 1_000, occurred_at=yesterday, record_time=NOON)))
    assert await ledger.available(program, "maria") == [100 + 150]
    assert await tallies_of(ledger, program) == {
        ("cap:r:beneficiary:day", "maria", "2026-05-01"): 100, ("cap:r:beneficiary:day", "maria", "2026-04-30"): 150,
    }  # fmt: skip


async def test_a_refund_gives_back_room_and_counts(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(
        plan(
            rule(caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 150)]),
            rule("vip", "", amount=plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=7)),
                tiers=tiers("n", plan_pb2.TIER_MODE_NEXT, tier(2, amount_minor=70))),
            counters=[counter("n")],
        )
    )  # fmt: skip
    await ledger.settle(message(recorded(program, "c1", 1_000)), message(recorded(program, "c2", 1_000)))
    assert await ledger.available(program, "maria") == [100 + 50 + 7 + 7]
    await ledger.settle(message(reversed_(program, "c1", "r1", 1_000, completes=True)))
    assert await ledger.available(program, "maria") == [50 + 7]
    # One order counts, so the third is the second; 100 of the cap are free again.
    await ledger.settle(message(recorded(program, "c3", 2_000)))
    assert await ledger.available(program, "maria") == [50 + 7 + 100 + 7]
    await ledger.settle(message(recorded(program, "c4", 2_000)))
    assert await ledger.available(program, "maria") == [50 + 7 + 100 + 7 + 70]
    await assert_rebuilt(servers, program)


async def test_a_refund_that_comes_first_takes_effect_with_its_order(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    program = await published(plan(rule(caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 100)])))
    await ledger.settle(message(reversed_(program, "c1", "r1", 1_000, completes=True)))
    first = recorded(program, "c1", 1_000, record_time=NOON)
    await ledger.settle(message(first, recorded(program, "c2", 1_000, record_time=NOON + timedelta(seconds=1))))
    assert await ledger.available(program, "maria") == [100]
    await assert_rebuilt(servers, program)


async def test_a_program_that_begins_to_count_later_counts_from_then_on(
    ledger: Ledger, published: Published, servers: Servers, clock: ManualClock
) -> None:
    program = await published(three_levels())
    now = clock.now()
    await ledger.settle(message(recorded(program, "old", 1_000, occurred_at=now - timedelta(hours=1))))
    await ledger.publish(program, plan(rule("upline", caps=[cap(plan_pb2.CAP_SCOPE_BENEFICIARY, 120)])))
    later = now + timedelta(minutes=1)
    for name in ("c1", "c2"):
        await ledger.settle(message(recorded(program, name, 1_000, occurred_at=later, record_time=later)))
    await ledger.settle(message(reversed_(program, "old", "r-old", 500)))
    await ledger.settle(message(reversed_(program, "c1", "r1", 1_000, completes=True)))
    assert await ledger.available(program, "maria") == [25 + 20]
    assert await tallies_of(ledger, program) == {("cap:upline:beneficiary:lifetime", "maria", ""): 20}
    await assert_rebuilt(servers, program)


async def test_lines_that_are_taken_back_are_kept(ledger: Ledger, published: Published, servers: Servers) -> None:
    """For the base LINES and for tables, it is known for ever what each line still pays."""
    made = plan(rule("books", lines="line.category == 'book'"))
    made.rules[0].amount.percent.of = plan_pb2.AMOUNT_BASE_LINES
    program = await published(made)
    order = recorded(program, "c1", 1_000)
    order.recorded.conversion.draft.lines.add(line_id="1", category="book", amount_minor=600)
    order.recorded.conversion.draft.lines.add(line_id='2"\\', category="pen", amount_minor=400)
    await ledger.settle(message(order))
    assert await ledger.available(program, "maria") == [60]
    for number, (line_id, minor, left) in enumerate([('2"\\', 400, 60), ("1", 250, 35), ("1", 350, 0)]):
        refund = reversed_(program, "c1", f"r{number}", minor, completes=not left, minutes_later=number)
        refund.reversed.reversal.lines.append(conversion_pb2.LineReversal(line_id=line_id, amount_minor=minor))
        await ledger.settle(message(refund))
        assert await ledger.available(program, "maria") == [left]
    await assert_rebuilt(servers, program)


async def test_limits_hold_to_the_cent_under_load(
    ledger: Ledger, published: Published, workers: list[Deps], servers: Servers
) -> None:
    """64 clients of two workers at once, with duplicates: a cap, a budget and tiers come out as if one had come after
    the other."""
    steps = tiers("n", plan_pb2.TIER_MODE_NEXT, tier(50, percent="20"), tier(100, percent="30"))
    program = await published(
        plan(
            rule("tiered", tiers=steps),
            rule("capped", "33.3", to=BUYER, caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 12_345)]),
            rule("budgeted", "50", to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=2, to_level=2))),
            counters=[counter("n")],
            budgets=[plan_pb2.Budget(budget_id="b", asset="USD", amount_minor=77_777, rules=["budgeted"])],
        )
    )
    orders = [message(recorded(program, f"c{each}", 1_000, upline=("maria", "olga"))) for each in range(200)]
    again = random.Random(5).sample(orders, 60)
    await in_parallel(workers, [*orders, *again])
    assert await ledger.available(program, "maria", "vera", "olga") == [50 * 100 + 50 * 200 + 100 * 300, 12_345, 77_777]
    assert (await ledger.audit(program)).balanced
    await assert_rebuilt(servers, program)
    refunds = [message(reversed_(program, f"c{each}", f"r{each}", 1_000, completes=True)) for each in range(200)]
    await in_parallel(workers, [*refunds, *refunds[:40]])
    assert await ledger.available(program, "maria", "vera", "olga") == [0, 0, 0]
    assert await tallies_of(ledger, program) == {}
    assert (await ledger.audit(program)).balanced
    await assert_rebuilt(servers, program)


@pytest.mark.parametrize("seed", range(2))
async def test_everything_at_once_is_what_the_events_come_to(
    ledger: Ledger, published: Published, workers: list[Deps], servers: Servers, seed: int
) -> None:
    program = await published(rich())
    events = trade(program, seed)
    chance = random.Random(seed)
    shuffled = [*events, *chance.sample(events, 60)]
    chance.shuffle(shuffled)
    messages = []
    while shuffled:
        size = chance.randint(1, 8)
        messages.append(message(*shuffled[:size]))
        del shuffled[:size]
    await in_parallel(workers, messages)
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings
    counted = await tallies_of(ledger, program)
    assert all(value <= 150_000 for (name, _, _), value in counted.items() if name == "budget:all")
    assert all(value <= 9_000 for (name, _, _), value in counted.items() if name == "cap:upline:beneficiary:month")
    assert all(value > 0 for value in counted.values())
    await assert_rebuilt(servers, program)


async def test_programs_do_not_wait_in_a_circle(ledger: Ledger, published: Published, workers: list[Deps]) -> None:
    """Batches of several programs lock them in one order."""
    programs = [await published(plan(rule(caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 10**6)]))) for _ in range(3)]
    chance = random.Random(9)
    messages = []
    for number in range(60):
        chance.shuffle(programs)
        messages.append(message(*(recorded(each, f"c{number}", 1_000, upline=("maria",)) for each in programs)))
    await in_parallel(workers, messages, clients=12)
    for program in programs:
        assert await ledger.available(program, "maria") == [60 * 100]


async def test_a_batch_that_takes_longer_than_a_wait_for_a_lock_holds_up_no_part_of_its_own(
    ledger: Ledger, published: Published, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of one process wait for one another's end, and not as long as for a lock."""
    monkeypatch.setattr("chassis.database.LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(settling, "FACTS_A_TRANSACTION", 3)
    program = await published(plan(rule(caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 10**6)])))

    async def load_slowly(*arguments: Any) -> Any:
        await asyncio.sleep(0.5)  # what others wait for meanwhile takes them five times as long as the database allows
        return await load_running(*arguments)

    load_running = settling.effects.load_running
    monkeypatch.setattr(settling.effects, "load_running", load_slowly)
    database = Database(servers.settings("rewards").database_url, "rewards", Work.CONSUMING)
    deps = replace(ledger.rewards.service.deps, database=database)
    try:
        await ConversionEvents(deps).handle(
            [message(*(recorded(program, f"c{each}", 1_000, upline=("maria",)) for each in range(9)))]
        )
    finally:
        await database.close()
    assert await ledger.available(program, "maria") == [9 * 100]
