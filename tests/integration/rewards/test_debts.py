"""A reward that is taken back after it was used is owed, and repaid before anything is spent again."""

import asyncio

from services.rewards.commands.spending import repay_debts
from services.rewards.store import wallets
from services.rewards.store.ledger import roll_up
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.spending import FAILED, Spender, refusal, spending_plan

DEBT_SETTLEMENT = 4


async def settle_all(ledger: Ledger) -> None:
    """Settles every debt that can be."""
    while await repay_debts(ledger.rewards.service.deps):
        pass


async def test_a_refund_after_the_payout_is_owed_and_later_rewards_pay_for_it(
    ledger: Ledger, published: Published
) -> None:
    maria = Treasury(ledger, await published(payout_plan()))
    # 10 % of an order of 100.00 are paid out; then 30.00 of it come back.
    await ledger.settle(message(recorded(maria.program, "c1", 10_000)))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    await ledger.settle(message(reversed_(maria.program, "c1", "r1", 3_000)))
    assert await maria.money() == (0, 0, 0, 300)
    await maria.assert_clean()
    await ledger.settle(message(recorded(maria.program, "c2", 2_000)))
    await settle_all(ledger)
    assert await maria.money() == (0, 0, 0, 100)
    await ledger.settle(message(recorded(maria.program, "c3", 10_000)))
    await settle_all(ledger)
    assert await maria.money() == (0, 900, 0, 0)
    statement = await ledger.transfers(maria.program, "maria")
    settled = [each for each in statement if each.kind == DEBT_SETTLEMENT]
    assert sorted(each.amount_minor for each in settled) == [100, 200]
    assert {(each.debit_account, each.credit_account) for each in settled} == {("available:maria", "debt:maria")}
    await maria.assert_clean()


async def test_a_payout_that_comes_back_settles_what_is_owed(ledger: Ledger, published: Published) -> None:
    maria = Treasury(ledger, await published(payout_plan()))
    await ledger.settle(message(recorded(maria.program, "c1", 10_000)))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    await ledger.settle(message(reversed_(maria.program, "c1", "r1", 10_000, completes=True)))
    assert await maria.money() == (0, 0, 0, 1_000)
    await maria.act("Report", "p1", outcome=SAID_BOUNCED)
    await settle_all(ledger)
    # 9.65 came back; the fee is what is owed still.
    assert await maria.money() == (0, 0, 0, 35)
    await maria.assert_clean()


async def test_what_is_left_is_taken_first(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000, "c1")
    await vera.authorize("r1", 400, order_id="o1")
    await vera.purchase("b1", "mug")
    # 300 are available, 400 set aside: 500 are taken back, then the rest.
    await ledger.settle(message(reversed_(vera.program, "c1", "r1", 500)))
    assert await vera.balance() == (0, 0, 400, 200)
    await ledger.settle(message(reversed_(vera.program, "c1", "r2", 500, completes=True, minutes_later=2)))
    assert await vera.balance() == (0, 0, 400, 700)
    await vera.void("r1")
    await settle_all(ledger)
    assert await vera.balance() == (0, 0, 0, 300)
    await vera.assert_clean()


async def test_debts_are_settled_before_anything_is_spent(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(300, "c1")
    await vera.purchase("b1", "mug")
    await ledger.settle(message(reversed_(vera.program, "c1", "r1", 300, completes=True)))
    assert await refusal(vera.authorize("r1", 1)) == (FAILED, "INSUFFICIENT_BALANCE")
    await vera.earn(350, "c2")
    assert await refusal(vera.authorize("r1", 51)) == (FAILED, "INSUFFICIENT_BALANCE")
    await vera.authorize("r1", 50)
    await settle_all(ledger)
    assert await vera.balance() == (0, 0, 50, 0)
    await vera.assert_clean()


async def test_who_has_paid_his_debt_is_no_debtor(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(300, "c1")
    await vera.purchase("b1", "mug")
    await ledger.settle(message(reversed_(vera.program, "c1", "r1", 300, completes=True)))
    database = ledger.rewards.service.deps.database

    async def debtors() -> list[str]:
        async with database.transaction() as conn:
            return [person for program, person in await wallets.debtors(conn, [], 1_000) if program == vera.program]

    # The balance of old is there still, and so are the changes to it.
    async with database.transaction() as conn:
        while await roll_up(conn, 1_000):
            pass
    assert await debtors() == []
    await vera.earn(500, "c2")
    assert await debtors() == ["vera"]
    await repay_debts(ledger.rewards.service.deps)
    assert await vera.balance() == (0, 200, 0, 0)
    assert await debtors() == []


async def test_refunds_and_redemptions_at_once_leave_nothing_below_zero(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    for number in range(20):
        await vera.earn(100, f"c{number}")
    refunds = [ledger.settle(message(reversed_(vera.program, f"c{number}", f"r{number}", 60))) for number in range(20)]
    spent = [vera.authorize(f"x{number}", 100, order_id=f"o{number}") for number in range(20)]
    outcomes = await asyncio.gather(*refunds, *spent, return_exceptions=True)
    assert not [each for each in outcomes[:20] if isinstance(each, BaseException)]
    taken = 100 * sum(not isinstance(each, BaseException) for each in outcomes[20:])
    await settle_all(ledger)
    held, available, reserved, debt = await vera.balance()
    assert (held, reserved) == (0, taken)
    assert available - debt == 20 * 40 - taken
    assert not (available and debt)
    await vera.assert_clean()


async def test_one_batch_of_refunds_shares_what_is_left(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    for number in range(3):
        await vera.earn(100, f"c{number}")
    await vera.authorize("x1", 170)
    await ledger.settle(
        message(*(reversed_(vera.program, f"c{n}", f"r{n}", 100, completes=True, minutes_later=n) for n in range(3)))
    )
    assert await vera.balance() == (0, 0, 170, 170)
    reversals = [each for each in await ledger.transfers(vera.program, "vera") if each.kind == 3]
    assert sum(each.amount_minor for each in reversals) == 300
    assert len({each.transfer_id for each in reversals}) == len(reversals) == 4
    await vera.assert_clean()
