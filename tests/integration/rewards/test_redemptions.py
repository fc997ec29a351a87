"""Redemptions: points pay a part of an order, once."""

import asyncio

import grpc
from upline.type.v1 import asset_pb2, money_pb2

from tests.integration.rewards.conftest import Ledger, Published, points_rule
from tests.integration.rewards.spending import EXISTS, FAILED, MISSING, WRONG, Spender, refusal, spending_plan


async def test_what_is_set_aside_is_spent_in_part_and_the_rest_comes_back(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    made = await vera.authorize("r1", 500)
    assert (made.state, made.worth_minor, made.authorized_minor) == (1, 500, 500)
    assert await vera.balance() == (0, 500, 500, 0)
    assert await vera.authorize("r1", 500) == made
    assert (await vera.capture("r1", 300)).captured_minor == 300
    assert (await vera.capture("r1", 300)).state == 2
    assert await vera.balance() == (0, 700, 0, 0)
    assert await refusal(vera.capture("r1", 200)) == (FAILED, "REDEMPTION_NOT_AUTHORIZED")
    assert await refusal(vera.void("r1")) == (FAILED, "REDEMPTION_CAPTURED")
    kinds = [each.kind for each in await ledger.transfers(vera.program, "vera")]
    assert sorted(kinds) == [1, 6, 7, 8]
    await vera.assert_clean()


async def test_what_is_voided_comes_back(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    await vera.authorize("r1", 400)
    assert (await vera.void("r1")).state == 3
    assert (await vera.void("r1")).state == 3
    assert await vera.balance() == (0, 1_000, 0, 0)
    assert await refusal(vera.capture("r1")) == (FAILED, "REDEMPTION_NOT_AUTHORIZED")
    assert await refusal(vera.void("r2")) == (MISSING, "REDEMPTION_NOT_FOUND")
    await vera.assert_clean()


async def test_refunds_give_back_no_more_than_was_spent(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    await vera.authorize("r1", 400)
    assert await refusal(vera.refund("r1", "f0")) == (FAILED, "REDEMPTION_NOT_CAPTURED")
    await vera.capture("r1")
    assert (await vera.refund("r1", "f1", 150)).refunded_minor == 150
    assert (await vera.refund("r1", "f1", 150)).refunded_minor == 150
    assert await refusal(vera.refund("r1", "f1", 100)) == (EXISTS, "REFUND_EXISTS")
    assert await refusal(vera.refund("r1", "f2", 251)) == (FAILED, "ABOVE_CAPTURE")
    assert (await vera.refund("r1", "f2")).refunded_minor == 400
    assert await refusal(vera.refund("r1", "f3")) == (FAILED, "ABOVE_CAPTURE")
    assert await vera.balance() == (0, 1_000, 0, 0)
    await vera.assert_clean()


async def test_an_order_is_paid_with_points_up_to_their_share(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(2_000)
    await vera.authorize("r1", 300)
    # Half of 10.00 may be paid: 3.00 are, 2.01 more would be too much, 2.00 are not.
    assert await refusal(vera.authorize("r2", 201)) == (FAILED, "ABOVE_SPENDING_LIMIT")
    await vera.authorize("r2", 200)
    assert await refusal(vera.authorize("r3", 1)) == (FAILED, "ABOVE_SPENDING_LIMIT")
    await vera.void("r1")
    await vera.authorize("r3", 300)
    await vera.capture("r3", 100)
    await vera.refund("r3", "f1", 50)
    await vera.authorize("r4", 250)
    await vera.authorize("another", 500, order_id="o2")
    await vera.assert_clean()


async def test_fractions_of_cents_do_not_slip_under_the_limit(ledger: Ledger, published: Published) -> None:
    plan = spending_plan()
    plan.assets[0].per_currency_unit = "300"  # a point is a third of a cent
    vera = Spender(ledger, await published(plan))
    await vera.earn(2_000)
    cent = money_pb2.Money(currency_code="USD", amount_minor=2)  # half of it is a cent
    for number in range(3):
        assert (await vera.authorize(f"r{number}", 1, order_amount=cent)).worth_minor == 0
    assert await refusal(vera.authorize("r3", 1, order_amount=cent)) == (FAILED, "ABOVE_SPENDING_LIMIT")


async def test_what_is_not_there_cannot_be_spent(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(100)
    assert await refusal(vera.authorize("r1", 101)) == (FAILED, "INSUFFICIENT_BALANCE")
    assert await refusal(vera.authorize("r1", 5, asset="stones")) == (FAILED, "NOT_SPENDABLE")
    assert await refusal(vera.authorize("r1", 5, participant_id="nobody")) == (FAILED, "INSUFFICIENT_BALANCE")
    euro = money_pb2.Money(currency_code="EUR", amount_minor=1_000)
    assert (await refusal(vera.authorize("r1", 5, order_amount=euro)))[0] == WRONG
    assert (await refusal(vera.authorize("r1", 5, order_amount=money_pb2.Money(currency_code="USD"))))[0] == WRONG
    await vera.authorize("r1", 100)
    assert await refusal(vera.authorize("r1", 99)) == (EXISTS, "REDEMPTION_EXISTS")
    assert await refusal(vera.authorize("r1", 100, participant_id="olga")) == (EXISTS, "REDEMPTION_EXISTS")
    elsewhere = Spender(ledger, "no-such-program")
    assert (await refusal(elsewhere.authorize("r1", 5)))[0] == MISSING
    await vera.assert_clean()


async def test_coupons_take_off_what_they_are_worth_and_gifts_are_handed_out(
    ledger: Ledger, published: Published
) -> None:
    plan = spending_plan(
        assets=[
            asset_pb2.Asset(
                code="voucher", kind=asset_pb2.ASSET_KIND_COUPON, coupon=asset_pb2.Coupon(amount_minor=700)
            ),
            asset_pb2.Asset(code="tenth", kind=asset_pb2.ASSET_KIND_COUPON, coupon=asset_pb2.Coupon(percent="10")),
            asset_pb2.Asset(code="sword", kind=asset_pb2.ASSET_KIND_GIFT, gift_sku="sword-1"),
        ],
        rules=[
            points_rule(rule_id=f"give-{asset}", asset=asset, amount={"fixed": {"amount_minor": 3}})
            for asset in ("voucher", "tenth", "sword")
        ],
        catalogue=[],
    )
    vera = Spender(ledger, await published(plan))
    await vera.earn(1)
    assert (await vera.authorize("r1", 1, asset="tenth")).worth_minor == 100
    assert (await vera.authorize("r2", 1, asset="voucher")).worth_minor == 700
    assert (await vera.authorize("r3", 1, asset="voucher")).worth_minor == 200
    assert await refusal(vera.authorize("r4", 1, asset="voucher")) == (FAILED, "ABOVE_SPENDING_LIMIT")
    assert (await vera.authorize("r5", 2, asset="sword")).worth_minor == 0
    assert (await vera.capture("r5")).captured_minor == 2
    assert await vera.balance("sword") == (0, 1, 0, 0)
    await vera.assert_clean()


async def test_clients_at_once_spend_no_more_than_there_is(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    calls = [vera.authorize(f"r{number}", 90, order_id=f"o{number}") for number in range(24)]
    made = [
        each for each in await asyncio.gather(*calls, return_exceptions=True) if not isinstance(each, BaseException)
    ]
    assert len(made) == 11
    assert await vera.balance() == (0, 10, 990, 0)
    same = await asyncio.gather(
        *(vera.authorize("same", 5) for _ in range(5)), *(vera.authorize("same", 6) for _ in range(5)),
        return_exceptions=True,
    )  # fmt: skip
    assert sum(isinstance(each, grpc.aio.AioRpcError) for each in same) == 5
    assert (await vera.balance())[1] in (4, 5)
    await vera.assert_clean()


async def test_one_order_is_not_paid_twice_by_clients_at_once(ledger: Ledger, published: Published) -> None:
    program = await published(spending_plan())
    wallets = [Spender(ledger, program, f"p{number}") for number in range(4)]
    for number, each in enumerate(wallets):
        await each.earn(1_000, f"earned-{number}")
    calls = [each.authorize(f"r{number}", 200) for number, each in enumerate(wallets * 3)]
    made = [
        each for each in await asyncio.gather(*calls, return_exceptions=True) if not isinstance(each, BaseException)
    ]
    assert sum(each.worth_minor for each in made) == 400
    await wallets[0].assert_clean()
