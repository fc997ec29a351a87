"""A draft over what happened, beside what was paid."""

import random
from datetime import timedelta

import pytest
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import plan_pb2

from chassis.errors import UplineError
from services.rewards.queries.simulate import PlanDraft, Simulation, simulate
from tests.conftest import Servers
from tests.integration.rewards import counted
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Published,
    message,
    points_rule,
    recorded,
    reversed_,
    three_levels,
)
from tests.integration.rewards.test_counting import rich

CONVERSIONS = 120


def draft() -> plan_pb2.Plan:
    """Another plan: more for the sponsor, nothing for level 3, points for the buyer."""
    plan = three_levels()
    del plan.rules[0].amount.per_level.percents[:]
    plan.rules[0].amount.per_level.percents.extend(["7.5", "2", "0"])
    plan.assets.add(code="points", kind=2)
    rule = points_rule()
    rule.amount.percent.percent = "3"
    plan.rules.append(rule)
    return plan


async def simulated(servers: Servers, program: str, plan: plan_pb2.Plan, **window: object) -> Simulation:
    """The draft over the program's history."""
    done: list[int] = []
    result = await simulate(
        servers.postgres.url,
        PlanDraft(program, plan.SerializeToString(), **window),  # type: ignore[arg-type]
        lambda _total: done.append,
        jobs=1,
    )
    assert done[-1] == CONVERSIONS
    return result


def events_of(program: str, seed: int = 7) -> list[events_pb2.ConversionEvent]:
    """Orders of a month, some of them refunded, in the order of recording."""
    chance = random.Random(seed)
    events = []
    for number in range(CONVERSIONS):
        moment = NOON + timedelta(hours=6 * number)
        people = chance.sample([f"p{each}" for each in range(12)], 5)
        amount = chance.choice([0, 1, 99, 1_000, 77_777])
        events.append(
            recorded(
                program,
                f"c{number}",
                amount,
                buyer=people[0],
                upline=tuple(people[1:]),
                occurred_at=moment,
                record_time=moment,
            )
        )
        if amount > 1 and chance.random() < 0.4:
            events.append(reversed_(program, f"c{number}", f"r{number}", amount // 3, minutes_later=360 * number + 5))
        if amount > 1 and chance.random() < 0.2:
            rest = amount - amount // 3 if events[-1].HasField("reversed") else amount
            events.append(
                reversed_(program, f"c{number}", f"w{number}", rest, completes=True, minutes_later=360 * number + 9)
            )
    return events


def history(program: str) -> list[bytes]:
    """The events as messages of the stream, twenty each."""
    events = events_of(program)
    return [message(*events[start : start + 20]) for start in range(0, len(events), 20)]


async def test_a_draft_pays_what_its_replay_pays(ledger: Ledger, published: Published, servers: Servers) -> None:
    program, replayed = await published(three_levels()), await published(draft())
    await ledger.settle(*history(program))
    await ledger.settle(*history(replayed))
    result = await simulated(servers, program, draft())
    assert result.conversions == CONVERSIONS
    assert result.digits == {"USD": 2, "points": 0}
    there = await simulated(servers, replayed, draft())
    assert result.simulated == there.paid == there.simulated
    here = await simulated(servers, program, three_levels())
    assert here.paid == here.simulated == result.paid
    for key, (_, minor) in result.simulated.items():
        if key[2] == "points":
            assert (await ledger.available(replayed, key[1], asset="points"))[0] == minor


async def test_a_draft_that_counts_pays_what_its_replay_in_the_same_order_pays(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    program, replayed = await published(three_levels()), await published(rich())
    await ledger.settle(*history(program))
    for event in events_of(replayed):
        await ledger.settle(message(event))
    result = await simulated(servers, program, rich())
    there = await simulated(servers, replayed, rich())
    assert result.simulated == there.paid == there.simulated
    assert sum(minor for _, minor in result.simulated.values()) > 10_000


async def test_a_refund_stands_where_it_was_settled_though_its_order_was_before_anything_counted(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    limited = counted.plan(counted.rule(), budgets=[plan_pb2.Budget(budget_id="b", asset="USD", amount_minor=100)])

    def events(program: str) -> list[events_pb2.ConversionEvent]:
        times = [NOON + timedelta(minutes=each) for each in (0, 1, 6)]
        first, second, third = (
            recorded(program, f"c{person}", 1000, upline=(person,), occurred_at=moment, record_time=moment)
            for person, moment in zip(("one", "two", "three"), times, strict=True)
        )
        return [first, second, reversed_(program, "cone", "r", 1000, completes=True, minutes_later=5), third]

    program, replayed = await published(three_levels()), await published(limited)
    for number, event in enumerate(events(program)):
        await ledger.settle(message(event))
        if number == 0:
            await ledger.publish(program, limited)
    for event in events(replayed):
        await ledger.settle(message(event))
    here, there = [
        await simulate(
            servers.postgres.url,
            PlanDraft(each, limited.SerializeToString()),
            lambda _total: lambda _done: None,
            jobs=1,
        )
        for each in (program, replayed)
    ]
    assert {key[1]: minor for key, (_, minor) in here.simulated.items() if minor} == {"three": 100}
    assert here.simulated == there.simulated == there.paid


async def test_a_window_is_half_open(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(three_levels())
    await ledger.settle(*history(program))
    window = {"start": NOON + timedelta(hours=60), "end": NOON + timedelta(hours=120)}
    part = await simulated(servers, program, three_levels(), **window)
    assert part.conversions == 10
    assert part.paid == part.simulated
    before = await simulated(servers, program, three_levels(), end=window["start"])
    after = await simulated(servers, program, three_levels(), start=window["end"])
    for each in (before, after):
        part.add(each)
    everything = await simulated(servers, program, three_levels())
    assert (part.conversions, part.paid, part.simulated) == (CONVERSIONS, everything.paid, everything.simulated)


async def test_a_wrong_draft_is_told_by_field(published: Published, servers: Servers) -> None:
    program = await published(three_levels())
    wrong = draft()
    wrong.rules[1].asset = "stars"
    with pytest.raises(UplineError) as caught:
        await simulate(
            servers.postgres.url,
            PlanDraft(program, wrong.SerializeToString()),
            lambda _total: lambda _done: None,
            jobs=1,
        )
    assert "plan.rules[1].asset" in str([each.field for each in caught.value.violations])


async def test_a_program_without_a_plan_has_no_history(servers: Servers) -> None:
    with pytest.raises(UplineError) as caught:
        await simulate(
            servers.postgres.url,
            PlanDraft("nowhere", draft().SerializeToString()),
            lambda _total: lambda _done: None,
            jobs=1,
        )
    assert caught.value.reason == "PROGRAM_NOT_FOUND"
