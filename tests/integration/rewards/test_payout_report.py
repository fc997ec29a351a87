"""The payout report ties out with the ledger."""

import csv
import io
from datetime import datetime, timedelta
from itertools import pairwise

import grpc
import pytest
from upline.rewards.v1 import payout_pb2

from chassis.times import to_timestamp
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_PAID, Treasury, payout_plan
from tests.running import DEADLINE_SECONDS

FAR = timedelta(days=36_500)


async def report(
    maria: Treasury, start: datetime = NOON - FAR, end: datetime = NOON + FAR
) -> payout_pb2.GetSettlementReportResponse:
    """The report of a period."""
    request = payout_pb2.GetSettlementReportRequest(
        program_id=maria.program, start_time=to_timestamp(start), end_time=to_timestamp(end)
    )
    return await maria.payouts.GetSettlementReport(request, timeout=DEADLINE_SECONDS)


async def test_a_period_adds_up(ledger: Ledger, published: Published) -> None:
    maria = Treasury(ledger, await published(payout_plan()))
    vera = Treasury(ledger, maria.program, "vera")
    await ledger.settle(message(recorded(maria.program, "c1", 100_000)))
    await ledger.settle(message(reversed_(maria.program, "c1", "r1", 10_000)))
    await maria.ask("p1", 1_000)
    await maria.ask("p2", 2_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    await vera.authorize("r1", 300)
    await vera.capture("r1", 200)
    await vera.exchange("x1", 1_000)
    whole = await report(maria)
    assert [each.asset for each in whole.assets] == ["USD", "points"]
    for asset in whole.assets:
        assert sum(each.closing_minor for each in asset.accounts) == 0
        for account in asset.accounts:
            assert account.opening_minor == 0
            assert account.opening_minor + account.in_minor - account.out_minor == account.closing_minor
    dollars = {each.account: each.closing_minor for each in whole.assets[0].accounts}
    # 10 % of 1,000.00, less 10.00, and 3.00 for points; 10.00 paid out, of them 0.35 as the fee; 20.00 on their way.
    assert dollars == {
        "issuance": -9_000, "available": 6_300, "reserved": 2_000, "paid_out": 965, "fees": 35, "exchange": -300,
    }  # fmt: skip
    wallets = [await each.money() for each in (maria, vera)]
    assert dollars["available"] == sum(available for _, available, _, _ in wallets)
    assert dollars["reserved"] == sum(reserved for _, _, reserved, _ in wallets)
    kinds = {each.kind: (each.transfer_count, each.amount_minor) for each in whole.assets[0].kinds}
    assert kinds == {
        "accrual": (1, 10_000), "reversal": (1, 1_000), "exchange": (1, 300), "payout_request": (2, 3_000),
            "payout": (1, 965),
        "payout_fee": (1, 35),
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(whole.csv)))
    assert next(each for each in rows if each["name"] == "paid_out")["closing"] == "9.65"
    assert len(rows) == sum(len(each.accounts) + len(each.kinds) for each in whole.assets)


async def test_what_came_back_is_told_by_itself(ledger: Ledger, published: Published) -> None:
    maria = Treasury(ledger, await published(payout_plan()))
    await ledger.settle(message(recorded(maria.program, "c1", 100_000)))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    await maria.act("Report", "p1", outcome=SAID_BOUNCED)
    [dollars] = [each for each in (await report(maria)).assets if each.asset == "USD"]
    accounts = {each.account: (each.in_minor, each.out_minor, each.closing_minor) for each in dollars.accounts}
    assert (accounts["paid_out"], accounts["fees"]) == ((965, 965, 0), (35, 0, 35))
    assert accounts["available"][2] == (await maria.money())[1] == 9_965
    assert sum(each.closing_minor for each in dollars.accounts) == 0
    kinds = {each.kind: (each.transfer_count, each.amount_minor) for each in dollars.kinds}
    assert (kinds["payout"], kinds["payout_bounce"]) == ((1, 965), (1, 965))


async def test_periods_follow_one_another(ledger: Ledger, published: Published) -> None:
    maria = Treasury(ledger, await published(payout_plan()))
    for day in range(4):
        moment = NOON + timedelta(days=day)
        await ledger.settle(message(recorded(maria.program, f"c{day}", 10_000 * (day + 1), record_time=moment)))
    bounds = [NOON - FAR, NOON + timedelta(days=1), NOON + timedelta(days=3), NOON + FAR]
    closing: dict[str, int] = {}
    for start, end in pairwise(bounds):
        accounts = {each.account: each for each in (await report(maria, start, end)).assets[0].accounts}
        assert {name: each.opening_minor for name, each in accounts.items() if each.opening_minor} == closing
        closing = {name: each.closing_minor for name, each in accounts.items() if each.closing_minor}
    assert closing == {"issuance": -10_000, "available": 10_000}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await report(maria, NOON, NOON)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
