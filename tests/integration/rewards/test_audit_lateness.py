"""The audit tells of everything that should have happened and has not, and that was used beyond its limit."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import approval_pb2, approval_pb2_grpc, plan_pb2

from services.rewards.store import wallets
from services.rewards.store.audits import findings, full
from tests.integration.rewards.conftest import NOON, Ledger, Owner, Published, forget, message, recorded, three_levels
from tests.integration.rewards.counted import cap, contest, counter, plan, rule
from tests.integration.rewards.spending import Spender, spending_plan
from tests.running import DEADLINE_SECONDS

YEARS = timedelta(days=3650)
NOT_YET, LATE = findings.OVERDUE, findings.OVERDUE + timedelta(seconds=1)


async def checks_at(ledger: Ledger, program: str, now: datetime) -> list[str]:
    """The checks that do not hold at a moment."""
    async with ledger.rewards.service.deps.database.transaction() as conn:
        return [each.check for each in (await full.run(conn, program, now, [])).findings]


async def checks(ledger: Ledger, program: str) -> list[str]:
    """The checks that do not hold."""
    return [each.check for each in (await ledger.audit(program)).findings]


async def test_a_wait_that_is_over_and_that_nobody_ends_is_told_of(ledger: Ledger, published: Published) -> None:
    waiting = three_levels(YEARS)
    waiting.rules[0].hold.approval = True
    program = await published(waiting)
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert not await checks_at(ledger, program, NOON + YEARS + LATE)
    stub = approval_pb2_grpc.ApprovalServiceStub(ledger.rewards.channel)
    request = approval_pb2.ApproveRewardsRequest(program_id=program, conversion_id="c1")
    await stub.ApproveRewards(request, timeout=DEADLINE_SECONDS)
    assert not await checks_at(ledger, program, NOON + YEARS + NOT_YET)
    assert await checks_at(ledger, program, NOON + YEARS + LATE) == ["HOLD_OVERDUE"]


async def test_a_contest_that_nobody_settles_is_told_of(ledger: Ledger, published: Published) -> None:
    after = timedelta(days=2)
    program = await published(
        plan(
            rule(),
            counters=[counter("orders")],
            contests=[contest("spring", "orders", NOON, NOON + YEARS, after)],
        )
    )
    assert not await checks_at(ledger, program, NOON + YEARS + after + NOT_YET)
    assert await checks_at(ledger, program, NOON + YEARS + after + LATE) == ["CONTEST_OVERDUE"]


async def test_a_debt_beside_what_would_settle_it_is_told_of_when_nothing_moves_any_more(
    ledger: Ledger, published: Published, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(_conn: AsyncConnection, _limit: int) -> list[tuple[str, str]]:
        return []

    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000)))
    with monkeypatch.context() as patched:
        patched.setattr(wallets, "debtors", nobody)
        try:
            await owner.execute(
                b"INSERT INTO rewards.balance_delta VALUES (%(p)s, 'maria', 5, 'USD', -7), (%(p)s, '', 1, 'USD', 7)",
                {"p": program},
            )
            assert await checks_at(ledger, program, NOON + NOT_YET) == ["BALANCE_DIFFERS"] * 2
            assert await checks_at(ledger, program, NOON + LATE) == ["BALANCE_DIFFERS"] * 2 + ["DEBT_OVERDUE"]
        finally:
            await forget(owner, program)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM rewards.operation WHERE program_id = %(p)s AND kind = 10",
        "DELETE FROM rewards.operation WHERE program_id = %(p)s AND kind = 11",
        "DELETE FROM rewards.operation WHERE program_id = %(p)s AND kind = 12",
        "UPDATE rewards.transfer SET cause_id = cause_id || '!' WHERE program_id = %(p)s AND kind = 11 AND asset = "
        "'USD'",
        "INSERT INTO rewards.operation VALUES (%(p)s, 12, 'promised', '', '', now())",
    ],
)
async def test_operations_without_their_transfers_and_the_other_way_round_are_told_of(
    ledger: Ledger, published: Published, owner: Owner, damage: str
) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(5_000)
    await vera.purchase("same", "mug")
    await vera.exchange("same", 1_000)
    await vera.give("same", "maria", 100)
    assert not await checks(ledger, vera.program)
    try:
        await owner.execute(damage.encode(), {"p": vera.program})
        assert set(await checks(ledger, vera.program)) == {"OPERATION_DIFFERS"}
    finally:
        await forget(owner, vera.program)


async def test_a_limit_that_was_used_beyond_its_amount_is_told_of(
    ledger: Ledger, published: Published, owner: Owner
) -> None:
    def limited(amount_minor: int) -> plan_pb2.Plan:
        return plan(
            rule(caps=[cap(plan_pb2.CAP_SCOPE_BENEFICIARY, amount_minor)]),
            budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=amount_minor, rules=["r"])],
        )

    program = await published(limited(100))
    await ledger.settle(message(recorded(program, "c1", 5_000)))
    assert await ledger.available(program, "maria") == [100]
    # A later version may allow less than what was used before.
    await ledger.publish(program, limited(60))
    assert not await checks(ledger, program)
    for change, found in (("+ 1", 2), ("- 102", 2), ("+ 101", 0)):
        statement = f"UPDATE rewards.tally SET value = value {change} WHERE program_id = %s"
        await owner.execute(statement.encode(), [program])
        assert await checks(ledger, program) == ["LIMIT_EXCEEDED"] * found
