"""The facts of one call take effect in its order, also those that were recorded at one instant, and what was settled
stays as it was."""

import pytest
from sqlalchemy import text
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import plan_pb2

from services.rewards.queries.simulate import PlanDraft, Simulation, simulate
from tests.conftest import Servers
from tests.integration.rewards.conftest import (
    Ledger,
    Published,
    called,
    message,
    recorded,
    reversed_,
    three_levels,
)
from tests.integration.rewards.counted import BUYER, plan, rule
from tests.integration.rewards.spending import Spender, spending_plan
from tests.integration.rewards.test_counting import assert_rebuilt

Event = events_pb2.ConversionEvent
IDS = [f"c{number}" for number in range(12, 0, -1)]
"""Ids whose order in the call is not their order as text."""


def limited() -> plan_pb2.Plan:
    """10 % to the buyer, 45 cents in all: of orders of 1.00 each it pays four and a half."""
    return plan(rule(to=BUYER), budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=45)])


def orders(program: str, ids: list[str]) -> list[Event]:
    """Orders of 1.00, all of one instant, each of a buyer of its name."""
    return [recorded(program, each, 100, buyer=f"of-{each}") for each in ids]


async def settled_in(ledger: Ledger, program: str) -> list[str]:
    """The program's conversions in the order in which they were settled."""
    async with ledger.rewards.service.deps.database.transaction() as conn:
        rows = await conn.execute(
            text("SELECT conversion_id FROM conversion WHERE program_id = :p ORDER BY position"), {"p": program}
        )
        return list(rows.scalars())


async def paid(ledger: Ledger, program: str, ids: list[str]) -> list[int]:
    """The amounts that the buyers of the orders got."""
    wallets = [await ledger.wallet(program, f"of-{each}") for each in ids]
    return [each["USD"][1] if "USD" in each else 0 for each in wallets]


async def simulated(servers: Servers, program: str, draft: plan_pb2.Plan) -> Simulation:
    """The draft over the program's history."""
    return await simulate(
        servers.postgres.url, PlanDraft(program, draft.SerializeToString()), lambda _total: lambda _done: None, jobs=1
    )


@pytest.mark.parametrize("size", [1, 5, 12])
async def test_a_call_is_settled_in_its_order_however_its_messages_come(
    ledger: Ledger, published: Published, servers: Servers, size: int
) -> None:
    program = await published(limited())
    events = called(7, *orders(program, IDS))
    parts = [message(*events[start : start + size]) for start in range(0, len(events), size)]
    await ledger.settle(*reversed(parts))
    assert await settled_in(ledger, program) == IDS
    assert await paid(ledger, program, IDS) == [10, 10, 10, 10, 5, *[0] * 7]
    await assert_rebuilt(servers, program)


async def test_calls_of_one_instant_stay_apart(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(limited())
    ids = [[f"{call}-{number}" for number in range(12, 0, -1)] for call in ("b", "a", "c")]
    calls = [called(key, *orders(program, some)) for key, some in zip((9, 10, 11), ids, strict=True)]
    mixed = [message(event) for events in zip(*calls, strict=True) for event in events]
    await ledger.settle(*reversed(mixed))
    assert await settled_in(ledger, program) == [each for some in ids for each in some]
    await assert_rebuilt(servers, program)


async def test_facts_of_before_are_settled_and_rebuilt_as_they_always_were(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    program = await published(limited())
    # Facts without a place in their call come by their ids, and before those of the same instant that have one.
    await ledger.settle(message(*orders(program, IDS[:6])))
    await ledger.settle(message(*called(1, *orders(program, ["z2", "z1"])), *orders(program, IDS[6:])))
    order = [*sorted(IDS[:6]), *sorted(IDS[6:]), "z2", "z1"]
    assert await settled_in(ledger, program) == order
    await assert_rebuilt(servers, program)
    result = await simulated(servers, program, limited())
    assert result.simulated == result.paid
    assert await paid(ledger, program, order) == [10, 10, 10, 10, 5, *[0] * 9]


async def test_what_was_settled_in_another_order_is_rebuilt_in_that(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    program = await published(limited())
    events = called(1, *orders(program, IDS))
    await ledger.settle(message(*events[6:]))
    await ledger.settle(message(*events[:6]))
    assert await settled_in(ledger, program) == [*IDS[6:], *IDS[:6]]
    await assert_rebuilt(servers, program)
    result = await simulated(servers, program, limited())
    assert result.simulated == result.paid


async def test_a_simulation_puts_facts_of_one_instant_into_the_order_in_which_they_would_be_settled(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    plain, counting = await published(three_levels()), await published(limited())

    def history(program: str) -> list[bytes]:
        old, calls = orders(program, ["o2", "o1"]), [IDS[:4], IDS[4:]]
        numbered = [called(key, *orders(program, some)) for key, some in enumerate(calls, start=1)]
        refunds = called(
            3,
            reversed_(program, "c12", "r9", 50, minutes_later=0),
            reversed_(program, "c10", "r10", 50, minutes_later=0),
        )
        return [message(*old), *(message(*events) for events in numbered), message(*refunds)]

    for program in (plain, counting):
        await ledger.settle(*history(program))
    here, there = [await simulated(servers, each, limited()) for each in (plain, counting)]
    assert here.simulated == there.simulated == there.paid
    people = ["o1", "o2", "c12", "c11", "c10", "c9"]
    assert await paid(ledger, counting, people) == [10, 10, 5, 10, 5, 0]
    await assert_rebuilt(servers, counting)


async def test_what_two_refunds_of_one_call_leave_owing_is_told_by_its_order(
    ledger: Ledger, published: Published
) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    for conversion_id in ("c9", "c10"):
        await vera.earn(500, conversion_id)
    await vera.purchase("b1", "mug")
    # Of 1,000 points 300 are used. The first refund takes its 500 of what is there, the second the other 200, and 300
    # are owed for it.
    first = reversed_(vera.program, "c9", "r2", 500, completes=True)
    second = reversed_(vera.program, "c10", "r1", 500, completes=True)
    await ledger.settle(message(*called(1, first, second)))
    taken = [each for each in await ledger.transfers(vera.program, "vera") if each.cause_id.startswith("reversal:")]
    assert sorted((each.cause_id.rpartition("/")[2], each.amount_minor) for each in taken) == [
        ("r1", 200),
        ("r1", 300),
        ("r2", 500),
    ]
    await vera.assert_clean()
