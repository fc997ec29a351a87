"""Redemptions, gifts, exchanges and payouts, each call repeated until it is answered, and what they add up to."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import grpc
from google.protobuf.message import Message
from upline.attribution.v1 import participant_pb2
from upline.rewards.v1 import payout_pb2, plan_pb2, redemption_pb2, wallet_pb2
from upline.type.v1 import asset_pb2, money_pb2

from cli.bundle.program import load
from cli.client import Client
from cli.programs import apply_bundle
from tests.e2e.world import PROGRAMS, World
from tests.flow import Flow
from tests.running import DEADLINE_SECONDS

WALLETS = [f"p{number}" for number in range(4)]
RICH = 10_000_000
NOT_KNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Answers after which a call is made again: nobody knows whether it was done."""
GIVE_UP_SECONDS = 90.0


async def surely(call: Callable[[], Awaitable[Message]]) -> Message:
    """Makes a call until it is answered."""
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in NOT_KNOWN:
                    raise
                await asyncio.sleep(0.1)


async def open_shop(client: Client, flow: Flow, program_id: str, poison: str = "") -> World:
    """Buyers get a point a cent; everything may be done with points, and points may be paid out."""
    bundle = load(PROGRAMS / "three-levels.yaml")
    bundle.program.program_id = program_id
    assert bundle.plan is not None
    bundle.plan.assets.add(
        code="gold",
        kind=asset_pb2.ASSET_KIND_VIRTUAL,
        per_currency_unit="100",
        withdrawable=True,
        transferable=True,
        spending=asset_pb2.Spending(max_percent_of_order="100"),
        exchanges=[asset_pb2.Exchange(into="silver", rate="2")],
    )
    bundle.plan.assets.add(code="silver", kind=asset_pb2.ASSET_KIND_VIRTUAL)
    rule = bundle.plan.rules.add(rule_id="cashback", on=["order"], asset="gold")
    rule.to.buyer.SetInParent()
    rule.amount.percent.percent = "100"
    bundle.plan.payouts.add(asset="gold", methods=[plan_pb2.PayoutMethod(method="bank", fee_minor=1)])
    await apply_bundle(client, bundle)
    world = World(client, flow, program_id, bundle.program.currency_code)
    await world.enrol_all([participant_pb2.ParticipantDraft(participant_id=who) for who in WALLETS])
    await world.record([world.order(f"rich-{who}", who, RICH) for who in WALLETS])
    await flow.drained(poison=poison)
    return world


class Shopper:
    """One client: what it does, and what that adds up to by wallet, in gold."""

    def __init__(self, world: World, client: Client, seed: int, number: int) -> None:
        self.world = world
        self.client = client
        """Where it calls."""
        self.number = number
        self.turns = 0
        self.dice = random.Random(seed * 100 + number)
        self.spent = dict.fromkeys(WALLETS, 0)
        self.silver = dict.fromkeys(WALLETS, 0)

    async def work(self, stop: asyncio.Event, turns: int) -> None:
        """Takes so many turns, and more until it is told to stop."""
        while self.turns < turns or not stop.is_set():
            self.turns += 1
            await self.turn(f"c{self.number}-{self.turns}")

    async def turn(self, name: str) -> None:
        """One thing of each kind, under names of its own; some are repeated for good measure."""
        client, program = self.client, self.world.program_id
        who, other = self.dice.sample(WALLETS, 2)
        amount = self.dice.randint(10, 99)
        order = money_pb2.Money(currency_code=self.world.currency, amount_minor=1_000)
        asked = redemption_pb2.AuthorizeRedemptionRequest(
            program_id=program, redemption_id=name, participant_id=who, asset="gold", amount_minor=amount,
            order_id=name, order_amount=order,
        )  # fmt: skip
        capture = redemption_pb2.CaptureRedemptionRequest(program_id=program, redemption_id=name, amount_minor=7)
        refund = redemption_pb2.RefundRedemptionRequest(
            program_id=program, redemption_id=name, refund_id=name, amount_minor=2
        )
        gift = redemption_pb2.GiveAssetRequest(
            program_id=program, gift_id=name, participant_id=who, recipient_id=other, asset="gold", amount_minor=3
        )
        swap = redemption_pb2.ExchangeAssetRequest(
            program_id=program, exchange_id=name, participant_id=who, asset="gold", amount_minor=5, into="silver"
        )
        payout = payout_pb2.RequestPayoutRequest(
            program_id=program, payout_id=name, participant_id=who, asset="gold", amount_minor=11, method="bank"
        )
        batch = payout_pb2.CreatePayoutBatchRequest(program_id=program, batch_id=name)
        paid = payout_pb2.ReportPayoutRequest(
            program_id=program, payout_id=name, attempt=1, outcome=payout_pb2.PAYOUT_OUTCOME_PAID
        )
        back = payout_pb2.ReportPayoutRequest(
            program_id=program, payout_id=name, attempt=1, outcome=payout_pb2.PAYOUT_OUTCOME_BOUNCED
        )
        redemptions, payouts = client.redemptions, client.payouts
        for call, request in (
            (redemptions.AuthorizeRedemption, asked),
            (redemptions.CaptureRedemption, capture),
            (redemptions.RefundRedemption, refund),
            (redemptions.GiveAsset, gift),
            (redemptions.ExchangeAsset, swap),
            (payouts.RequestPayout, payout),
            (payouts.CreatePayoutBatch, batch),
            (payouts.ReportPayout, paid),
            (payouts.ReportPayout, back),
        ):
            for _ in range(self.dice.choice([1, 1, 2])):
                await surely(lambda call=call, request=request: call(request, timeout=DEADLINE_SECONDS))
        self.spent[who] += 7 - 2 + 3 + 5 + 1  # of the payout only the fee does not come back
        self.spent[other] -= 3
        self.silver[who] += 10


async def wrong_wallets(world: World, shoppers: Sequence[Shopper]) -> list[str]:
    """The wallets that do not hold what the shoppers' turns add up to."""
    wrong = []
    for who in WALLETS:
        wallet = wallet_pb2.GetWalletRequest(program_id=world.program_id, participant_id=who)
        balances = (await world.client.wallets.GetWallet(wallet, timeout=DEADLINE_SECONDS)).balances
        found = {each.asset: (each.available_minor, each.reserved_minor, each.debt_minor) for each in balances}
        wanted = {
            "gold": (RICH - sum(each.spent[who] for each in shoppers), 0, 0),
            "silver": (sum(each.silver[who] for each in shoppers), 0, 0),
        }
        for asset, amounts in wanted.items():
            if found.get(asset, (0, 0, 0)) != amounts:
                wrong.append(f"{asset} of {who}: expected {amounts}, found {found.get(asset)}")
    return wrong
