"""Purchases, exchanges and gifts."""

import asyncio
from datetime import timedelta

from chassis.times import to_datetime
from tests.integration.rewards.conftest import NOON, Ledger, Published
from tests.integration.rewards.spending import EXISTS, FAILED, MISSING, WRONG, Spender, refusal, spending_plan


async def test_the_catalogue_sells(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    bought = await vera.purchase("b1", "mug", 2)
    assert (bought.asset, bought.amount_minor) == ("points", 600)
    assert await vera.purchase("b1", "mug", 2) == bought
    assert await refusal(vera.purchase("b1", "mug")) == (EXISTS, "PURCHASE_EXISTS")
    assert await refusal(vera.purchase("b2", "mug", 2)) == (FAILED, "INSUFFICIENT_BALANCE")
    assert (await vera.purchase("b2", "mug")).amount_minor == 300
    assert (await refusal(vera.purchase("b3", "hat")))[0] == MISSING
    assert await vera.balance() == (0, 100, 0, 0)
    await vera.assert_clean()


async def test_an_asset_becomes_another_rounded_down(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    # 0.003 dollars a point: 999 points are 2.997 dollars.
    assert await vera.exchange("x1", 999) == 299
    assert await vera.exchange("x1", 999) == 299
    assert await refusal(vera.exchange("x1", 998)) == (EXISTS, "EXCHANGE_EXISTS")
    assert await refusal(vera.exchange("x2", 1, "USD", "points")) == (FAILED, "NOT_EXCHANGEABLE")
    assert await refusal(vera.exchange("x2", 10)) == (FAILED, "INSUFFICIENT_BALANCE")
    assert await vera.balance() == (0, 1, 0, 0)
    assert await vera.balance("USD") == (0, 299, 0, 0)
    await vera.assert_clean()


async def test_a_gift_stands_on_both_statements(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    olga = Spender(ledger, vera.program, "olga")
    await vera.earn(1_000)
    await vera.give("g1", "olga", 400)
    await vera.give("g1", "olga", 400)
    assert await refusal(vera.give("g1", "petr", 400)) == (EXISTS, "GIFT_EXISTS")
    assert await refusal(vera.give("g2", "olga", 601)) == (FAILED, "INSUFFICIENT_BALANCE")
    assert (await refusal(vera.give("g2", "vera", 1)))[0] == WRONG
    assert await refusal(vera.give("g2", "olga", 1, "USD")) == (FAILED, "NOT_TRANSFERABLE")
    assert [await each.balance() for each in (vera, olga)] == [(0, 600, 0, 0), (0, 400, 0, 0)]
    for person in ("vera", "olga"):
        gift = (await ledger.transfers(vera.program, person))[0]
        assert (gift.debit_account, gift.credit_account) == ("available:vera", "available:olga")
    await vera.assert_clean()


async def test_gifts_in_circles_neither_block_nor_make_anything(ledger: Ledger, published: Published) -> None:
    program = await published(spending_plan())
    people = [Spender(ledger, program, f"p{number}") for number in range(3)]
    for number, each in enumerate(people):
        await each.earn(100, f"earned-{number}")
    calls = [
        giver.give(f"g{turn}-{number}", people[(number + 1) % 3].participant, 60)
        for turn in range(5)
        for number, giver in enumerate(people)
    ]
    await asyncio.gather(*calls, return_exceptions=True)
    balances = [(await each.balance())[1] for each in people]
    assert sum(balances) == 300
    assert min(balances) >= 0
    await people[0].assert_clean()


async def test_a_balance_of_the_past_is_the_sum_of_what_had_moved(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    olga = Spender(ledger, vera.program, "olga")
    for day in range(3):
        await vera.earn(100, f"c{day}", NOON + timedelta(days=day))
    assert [(await vera.balance(at_time=NOON + timedelta(days=day)))[1] for day in (-1, 0, 1, 2)] == [0, 100, 200, 300]
    await vera.authorize("r1", 70)
    await vera.give("g1", "olga", 30)
    await vera.capture("r1", 50)
    for person in (vera, olga):
        statement = sorted(await ledger.transfers(vera.program, person.participant), key=lambda each: each.transfer_id)
        moments = sorted({to_datetime(each.create_time) for each in statement})
        for moment in moments:
            sums = dict.fromkeys(("held", "available", "reserved", "debt"), 0)
            for each in statement:
                if to_datetime(each.create_time) > moment:
                    continue
                for account, sign in ((each.debit_account, -1), (each.credit_account, 1)):
                    place, _, whose = account.partition(":")
                    if whose == person.participant:
                        sums[place] += sign * each.amount_minor
            assert await person.balance(at_time=moment) == tuple(sums.values())
        assert await person.balance(at_time=moments[-1]) == await person.balance()
    await vera.assert_clean()
