"""Calls for tests of wallets that are used."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from upline.rewards.v1 import plan_pb2, redemption_pb2, redemption_pb2_grpc, wallet_pb2
from upline.type.v1 import asset_pb2, money_pb2

from chassis.times import to_timestamp
from tests.errors import reason_of
from tests.integration.rewards.conftest import NOON, Ledger, message, points_rule, recorded
from tests.running import DEADLINE_SECONDS


def spending_plan(**fields: Any) -> plan_pb2.Plan:
    """One point a cent of the order to the buyer, 10 % of it in money to the sponsor; everything may be done with
    both."""
    points = asset_pb2.Asset(
        code="points",
        kind=asset_pb2.ASSET_KIND_POINTS,
        per_currency_unit="100",
        spending=asset_pb2.Spending(max_percent_of_order="50"),
        exchanges=[asset_pb2.Exchange(into="USD", rate="0.003")],
        transferable=True,
    )
    usd = asset_pb2.Asset(
        code="USD",
        kind=asset_pb2.ASSET_KIND_MONEY,
        spending=asset_pb2.Spending(max_percent_of_order="100"),
        withdrawable=True,
    )
    sponsor = plan_pb2.Rule(
        rule_id="sponsor",
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="10")),
    )
    cashback = points_rule(amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="100")))
    defaults: dict[str, Any] = {
        "assets": [points, usd],
        "rules": [cashback, sponsor],
        "rounding": plan_pb2.ROUNDING_MODE_DOWN,
        "catalogue": [plan_pb2.CatalogueItem(sku="mug", asset="points", price_minor=300)],
    }
    return plan_pb2.Plan(**(defaults | fields))


@dataclass
class Spender:
    """One participant's wallet in one program, over gRPC."""

    ledger: Ledger
    program: str
    participant: str = "vera"
    stub: redemption_pb2_grpc.RedemptionServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = redemption_pb2_grpc.RedemptionServiceStub(self.ledger.rewards.channel)

    async def earn(self, points: int, conversion_id: str = "earned", record_time: datetime = NOON) -> None:
        """An order that brings so many points."""
        await self.ledger.settle(
            message(
                recorded(
                    self.program, conversion_id, points, buyer=self.participant, upline=(), record_time=record_time
                )
            )
        )

    async def balance(self, asset: str = "points", at_time: datetime | None = None) -> tuple[int, int, int, int]:
        """(held, available, reserved, debt)."""
        request = wallet_pb2.GetWalletRequest(
            program_id=self.program,
            participant_id=self.participant,
            at_time=to_timestamp(at_time) if at_time else None,
        )
        answer = await self.ledger.wallets.GetWallet(request, timeout=DEADLINE_SECONDS)
        found = next(each for each in answer.balances if each.asset == asset)
        return found.held_minor, found.available_minor, found.reserved_minor, found.debt_minor

    async def authorize(self, redemption_id: str, amount_minor: int, **fields: Any) -> redemption_pb2.Redemption:
        """Sets points aside for an order of 10.00 dollars."""
        defaults: dict[str, Any] = {
            "asset": "points",
            "order_id": "o1",
            "order_amount": money_pb2.Money(currency_code="USD", amount_minor=1_000),
            "participant_id": self.participant,
        }
        request = redemption_pb2.AuthorizeRedemptionRequest(
            program_id=self.program, redemption_id=redemption_id, amount_minor=amount_minor, **(defaults | fields)
        )
        return (await self.stub.AuthorizeRedemption(request, timeout=DEADLINE_SECONDS)).redemption

    async def capture(self, redemption_id: str, amount_minor: int | None = None) -> redemption_pb2.Redemption:
        """Spends what was set aside, all of it if no amount is named."""
        request = redemption_pb2.CaptureRedemptionRequest(
            program_id=self.program,
            redemption_id=redemption_id,
            amount_minor=amount_minor or 0,
            whole=amount_minor is None,
        )
        return (await self.stub.CaptureRedemption(request, timeout=DEADLINE_SECONDS)).redemption

    async def void(self, redemption_id: str) -> redemption_pb2.Redemption:
        """Gives back what was set aside."""
        request = redemption_pb2.VoidRedemptionRequest(program_id=self.program, redemption_id=redemption_id)
        return (await self.stub.VoidRedemption(request, timeout=DEADLINE_SECONDS)).redemption

    async def refund(
        self, redemption_id: str, refund_id: str, amount_minor: int | None = None
    ) -> redemption_pb2.Redemption:
        """Gives back what was spent, all that is left if no amount is named."""
        request = redemption_pb2.RefundRedemptionRequest(
            program_id=self.program,
            redemption_id=redemption_id,
            refund_id=refund_id,
            amount_minor=amount_minor or 0,
            whole=amount_minor is None,
        )
        return (await self.stub.RefundRedemption(request, timeout=DEADLINE_SECONDS)).redemption

    async def purchase(self, purchase_id: str, sku: str, quantity: int = 0) -> redemption_pb2.PurchaseItemResponse:
        """Buys from the catalogue."""
        request = redemption_pb2.PurchaseItemRequest(
            program_id=self.program,
            purchase_id=purchase_id,
            participant_id=self.participant,
            sku=sku,
            quantity=quantity,
        )
        return await self.stub.PurchaseItem(request, timeout=DEADLINE_SECONDS)

    async def exchange(self, exchange_id: str, amount_minor: int, asset: str = "points", into: str = "USD") -> int:
        """Turns one asset into another; returns how much of the other."""
        request = redemption_pb2.ExchangeAssetRequest(
            program_id=self.program,
            exchange_id=exchange_id,
            participant_id=self.participant,
            asset=asset,
            amount_minor=amount_minor,
            into=into,
        )
        return (await self.stub.ExchangeAsset(request, timeout=DEADLINE_SECONDS)).into_amount_minor

    async def give(self, gift_id: str, recipient_id: str, amount_minor: int, asset: str = "points") -> None:
        """Passes something on."""
        request = redemption_pb2.GiveAssetRequest(
            program_id=self.program,
            gift_id=gift_id,
            participant_id=self.participant,
            recipient_id=recipient_id,
            asset=asset,
            amount_minor=amount_minor,
        )
        await self.stub.GiveAsset(request, timeout=DEADLINE_SECONDS)

    async def assert_clean(self) -> None:
        """The audit finds nothing."""
        audit = await self.ledger.audit(self.program)
        assert audit.balanced, audit.findings


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """The code and the reason of a call that is refused."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), reason_of(error)
    raise AssertionError("was not refused")


FAILED = grpc.StatusCode.FAILED_PRECONDITION
EXISTS = grpc.StatusCode.ALREADY_EXISTS
MISSING = grpc.StatusCode.NOT_FOUND
WRONG = grpc.StatusCode.INVALID_ARGUMENT
DAY = timedelta(days=1)
