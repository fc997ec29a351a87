"""A version that is published while conversions are settled."""

from chassis.database import Database
from services.rewards.store import conversions, plans
from services.rewards.store.plans import PlanRow
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Published,
    arrived,
    message,
    points_rule,
    recorded,
    reversed_,
    three_levels,
)
from tests.integration.rewards.waiting import stopped


def second_version(program_id: str) -> PlanRow:
    """A version that pays the buyer one point, in force since noon."""
    plan = three_levels()
    plan.assets.add(code="points", kind=2)
    rule = points_rule()
    rule.amount.fixed.amount_minor = 1
    plan.rules.append(rule)
    return PlanRow(program_id, 2, "USD", plan.SerializeToString(deterministic=True), NOON, NOON)


async def test_a_conversion_waits_for_the_version_that_is_being_published(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "warm", 1000, upline=())))
    database: Database = ledger.rewards.service.deps.database
    async with database.transaction() as publishing:
        await plans.lock(publishing, program)
        settling = await stopped(database, ledger.settle(message(recorded(program, "c1", 1000))))
        await plans.insert(publishing, second_version(program))
    await settling
    assert (await ledger.explain(program, "c1")).plan_version == 2
    assert await ledger.available(program, "vera", asset="points") == [1]


async def test_a_reversal_knows_the_version_its_conversion_got_while_it_waited(
    ledger: Ledger, published: Published
) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "warm", 1000, upline=())))
    database: Database = ledger.rewards.service.deps.database
    (first,) = arrived(message(recorded(program, "c1", 1000)))
    async with database.transaction() as other_worker:
        await conversions.merge_new(other_worker, [(first, 2)])
        taking_back = await stopped(database, ledger.settle(message(reversed_(program, "c1", "r1", 400))))
        await plans.insert(other_worker, second_version(program))
    await taking_back
    assert (await ledger.explain(program, "c1")).remaining_minor == 600
