"""A request that leaves out what it means moves nothing: it is refused, with the field that has to say it."""

from typing import Any

import grpc
import pytest
from upline.rewards.v1 import payout_pb2, redemption_pb2

from tests.errors import violated_fields
from tests.integration.rewards.conftest import Ledger, Published, message, recorded
from tests.integration.rewards.paying_out import SAID_FAILED, SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.spending import Spender, spending_plan
from tests.running import DEADLINE_SECONDS

SENT, PAID = 3, 4


async def sent(ledger: Ledger, published: Published) -> Treasury:
    """Maria, of whose 100.00 dollars 10.00 were handed over."""
    maria = Treasury(ledger, await published(payout_plan()))
    await ledger.settle(message(recorded(maria.program, "c1", 100_000)))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    return maria


def told(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> tuple[grpc.StatusCode, list[str]]:
    """How a call was refused, and for which fields."""
    return error.value.code(), violated_fields(error.value)


async def test_a_report_that_says_nothing_fails_no_payout(ledger: Ledger, published: Published) -> None:
    maria = await sent(ledger, published)
    request = payout_pb2.ReportPayoutRequest(
        program_id=maria.program, payout_id="p1", attempt=1, provider_reference="ref-9"
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await maria.payouts.ReportPayout(request, timeout=DEADLINE_SECONDS)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["outcome"])
    assert "PAYOUT_OUTCOME_PAID" in (refused.value.details() or "")
    assert (await maria.act("Get", "p1")).state == SENT
    request.paid = True  # as older callers say it
    assert (await maria.payouts.ReportPayout(request, timeout=DEADLINE_SECONDS)).payout.state == PAID
    assert (await maria.act("Report", "p1", outcome=SAID_PAID)).state == PAID
    await maria.assert_clean()


@pytest.mark.parametrize(
    "said", [{"paid": True, "outcome": SAID_FAILED}, {"paid": True, "outcome": 99}, {"outcome": 99}, {"paid": False}]
)
async def test_a_report_that_contradicts_itself_decides_nothing(
    ledger: Ledger, published: Published, said: dict[str, Any]
) -> None:
    maria = await sent(ledger, published)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await maria.act("Report", "p1", **said)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["outcome"])
    assert (await maria.act("Get", "p1")).state == SENT
    assert (await maria.act("Report", "p1", paid=True, outcome=SAID_PAID)).state == PAID


async def test_a_capture_that_says_nothing_spends_nothing(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    await vera.authorize("r1", 400)
    request = redemption_pb2.CaptureRedemptionRequest(program_id=vera.program, redemption_id="r1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await vera.stub.CaptureRedemption(request, timeout=DEADLINE_SECONDS)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["whole"])
    request.whole, request.amount_minor = True, 400
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await vera.stub.CaptureRedemption(request, timeout=DEADLINE_SECONDS)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["whole"])
    assert await vera.balance() == (0, 600, 400, 0)
    request.amount_minor = 0
    for _ in range(2):
        assert (await vera.stub.CaptureRedemption(request, timeout=DEADLINE_SECONDS)).redemption.captured_minor == 400
    await vera.assert_clean()


async def test_a_refund_that_says_nothing_gives_nothing_back(ledger: Ledger, published: Published) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    await vera.earn(1_000)
    await vera.authorize("r1", 400)
    await vera.capture("r1", 400)
    request = redemption_pb2.RefundRedemptionRequest(program_id=vera.program, redemption_id="r1", refund_id="f1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await vera.stub.RefundRedemption(request, timeout=DEADLINE_SECONDS)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["whole"])
    request.whole, request.amount_minor = True, 400
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await vera.stub.RefundRedemption(request, timeout=DEADLINE_SECONDS)
    assert told(refused) == (grpc.StatusCode.INVALID_ARGUMENT, ["whole"])
    assert await vera.balance() == (0, 600, 0, 0)
    request.amount_minor = 0
    for _ in range(2):
        assert (await vera.stub.RefundRedemption(request, timeout=DEADLINE_SECONDS)).redemption.refunded_minor == 400
    await vera.assert_clean()
