"""The calls that clients make to one wallet, one binding and one budget, at once and at random.

Each subject is small, fresh and left again after some fifty calls: whether a history is linearizable takes time that
grows quickly with the calls that overlap.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.rewards.v1 import payout_pb2, redemption_pb2, reward_pb2, wallet_pb2
from upline.type.v1 import money_pb2

from cli.client import Client
from tests.linearizability.recording import CALL_SECONDS, Recorder

COIN = "coin"
MAX_AMOUNT_MINOR = 300
CLIENTS_A_SUBJECT = 4
CALLS_A_WALLET_CLIENT = 14
CALLS_A_BUDGET_CLIENT = 5
BINDERS = 5
_OUTCOMES = {
    "report_paid": payout_pb2.PAYOUT_OUTCOME_PAID,
    "report_failed": payout_pb2.PAYOUT_OUTCOME_FAILED,
    "report_bounced": payout_pb2.PAYOUT_OUTCOME_BOUNCED,
}


@dataclass
class Subject:
    """Whom all subjects call, and ids that are nobody else's."""

    client: Client
    recorder: Recorder
    rng: random.Random
    program_id: str
    name: str
    """Unique in the run."""
    _ids: int = 0

    def new_id(self, word: str) -> str:
        """An id of the subject's own."""
        self._ids += 1
        return f"{self.name}-{word}-{self._ids}"

    async def call(
        self, number: int, kind: str, method: Any, request: Any,
        result: Callable[[Any], dict[str, Any]] = lambda answer: {}, **arguments: Any,
    ) -> bool:  # fmt: skip
        """Calls as the client of that number, and records it."""

        async def send() -> Any:
            return await method(request, timeout=CALL_SECONDS)

        return await self.recorder.call(self.name, number, kind, send, result, **arguments)

    async def buy(self, number: int, kind: str, event_type: str, buyer: str, amount_minor: int) -> tuple[str, int]:
        """Records a conversion and waits until it is settled; returns its id, and how much it paid."""
        conversion_id = self.new_id(event_type)
        request = conversion_pb2.RecordConversionRequest(
            program_id=self.program_id,
            conversion=conversion_pb2.ConversionDraft(
                conversion_id=conversion_id,
                event_type=event_type,
                buyer_id=buyer,
                amount=money_pb2.Money(currency_code="USD", amount_minor=amount_minor),
            ),
        )

        async def paid() -> dict[str, Any] | None:
            explained = await self._explained(conversion_id)
            return {"paid": sum(each.amount_minor for each in explained.derivations)}

        found = await self.recorder.observed(
            self.name, number, kind,
            lambda: self.client.conversions.RecordConversion(request, timeout=CALL_SECONDS), paid, amount=amount_minor,
        )  # fmt: skip
        return conversion_id, int(found["paid"])

    async def take_back(self, number: int, kind: str, conversion_id: str, paid_minor: int) -> None:
        """Reverses a conversion whole and waits until that is settled. Nobody else reverses it."""
        draft = conversion_pb2.ReversalDraft(reversal_id=self.new_id("back"), conversion_id=conversion_id)
        draft.whole.SetInParent()
        request = conversion_pb2.ReverseConversionRequest(program_id=self.program_id, reversal=draft)

        async def gone() -> dict[str, Any] | None:
            return None if (await self._explained(conversion_id)).remaining_minor else {}

        await self.recorder.observed(
            self.name, number, kind,
            lambda: self.client.conversions.ReverseConversion(request, timeout=CALL_SECONDS), gone, amount=paid_minor,
        )  # fmt: skip

    async def _explained(self, conversion_id: str) -> reward_pb2.ExplainConversionResponse:
        request = reward_pb2.ExplainConversionRequest(program_id=self.program_id, conversion_id=conversion_id)
        answer: reward_pb2.ExplainConversionResponse = await self.client.rewards.ExplainConversion(
            request, timeout=CALL_SECONDS
        )
        return answer


@dataclass
class Wallet(Subject):
    """One participant's coins. Several clients earn, spend and pay them out at once, each other's redemptions and
    payouts too."""

    method: str = ""
    """The payout method that no other wallet of the moment uses: batches take all of a method."""
    _redemptions: list[str] = field(default_factory=list)
    _payouts: list[str] = field(default_factory=list)
    _orders: list[tuple[str, int]] = field(default_factory=list)

    async def play(self, number: int) -> None:
        """One client's calls."""
        await self._earn(number)
        spending = [self._authorize, self._give, self._request]
        ending = [self._capture, self._void, self._refund, self._reject, self._hand_over, self._report, self._cancel]
        choices = [self._earn, self._claw_back, self._read, self._read, *spending, *spending, *ending]
        for _ in range(CALLS_A_WALLET_CLIENT):
            act: Callable[[int], Awaitable[None]] = self.rng.choice(choices)
            await act(number)
        await self._read(number)

    def _amount(self) -> int:
        return self.rng.randint(1, MAX_AMOUNT_MINOR)

    async def _earn(self, number: int) -> None:
        self._orders.append(await self.buy(number, "earn", "order", self.name, self._amount()))

    async def _claw_back(self, number: int) -> None:
        if self._orders:
            order = self._orders.pop(self.rng.randrange(len(self._orders)))
            await self.take_back(number, "claw_back", *order)

    async def _read(self, number: int) -> None:
        request = wallet_pb2.GetWalletRequest(program_id=self.program_id, participant_id=self.name)

        def balances(answer: wallet_pb2.GetWalletResponse) -> dict[str, Any]:
            (coin,) = [each for each in answer.balances if each.asset == COIN]
            return {
                "available": coin.available_minor, "reserved": coin.reserved_minor, "debt": coin.debt_minor,
                "held": coin.held_minor,
            }  # fmt: skip

        await self.call(number, "read", self.client.wallets.GetWallet, request, balances)

    async def _authorize(self, number: int) -> None:
        redemption_id, amount_minor = self.new_id("redemption"), self._amount()
        self._redemptions.append(redemption_id)
        request = redemption_pb2.AuthorizeRedemptionRequest(
            program_id=self.program_id, redemption_id=redemption_id, participant_id=self.name, asset=COIN,
            amount_minor=amount_minor, order_id=redemption_id,
            order_amount=money_pb2.Money(currency_code="USD", amount_minor=amount_minor),
        )  # fmt: skip
        await self.call(
            number, "authorize", self.client.redemptions.AuthorizeRedemption, request, id=redemption_id,
            amount=amount_minor,
        )  # fmt: skip

    async def _capture(self, number: int) -> None:
        if not self._redemptions:
            return
        redemption_id, amount_minor = self.rng.choice(self._redemptions), self._amount()
        request = redemption_pb2.CaptureRedemptionRequest(program_id=self.program_id, redemption_id=redemption_id)
        if self.rng.random() < 0.5:
            request.whole, amount_minor = True, 0
        else:
            request.amount_minor = amount_minor
        await self.call(
            number, "capture", self.client.redemptions.CaptureRedemption, request, id=redemption_id, amount=amount_minor
        )

    async def _void(self, number: int) -> None:
        if self._redemptions:
            redemption_id = self.rng.choice(self._redemptions)
            request = redemption_pb2.VoidRedemptionRequest(program_id=self.program_id, redemption_id=redemption_id)
            await self.call(number, "void", self.client.redemptions.VoidRedemption, request, id=redemption_id)

    async def _refund(self, number: int) -> None:
        if not self._redemptions:
            return
        redemption_id, amount_minor = self.rng.choice(self._redemptions), self._amount()
        request = redemption_pb2.RefundRedemptionRequest(
            program_id=self.program_id, redemption_id=redemption_id, refund_id=self.new_id("refund"),
            amount_minor=amount_minor,
        )  # fmt: skip
        await self.call(
            number, "refund", self.client.redemptions.RefundRedemption, request, id=redemption_id, amount=amount_minor
        )

    async def _give(self, number: int) -> None:
        amount_minor = self._amount()
        request = redemption_pb2.GiveAssetRequest(
            program_id=self.program_id, gift_id=self.new_id("gift"), participant_id=self.name,
            recipient_id=f"{self.name}-friend", asset=COIN, amount_minor=amount_minor,
        )  # fmt: skip
        await self.call(number, "give", self.client.redemptions.GiveAsset, request, amount=amount_minor)

    async def _request(self, number: int) -> None:
        payout_id, amount_minor = self.new_id("payout"), self._amount()
        self._payouts.append(payout_id)
        request = payout_pb2.RequestPayoutRequest(
            program_id=self.program_id, payout_id=payout_id, participant_id=self.name, asset=COIN,
            amount_minor=amount_minor, method=self.method, destination="somewhere",
        )  # fmt: skip
        await self.call(
            number, "request_payout", self.client.payouts.RequestPayout, request, id=payout_id, amount=amount_minor
        )

    async def _reject(self, number: int) -> None:
        if self._payouts:
            payout_id = self.rng.choice(self._payouts)
            request = payout_pb2.RejectPayoutRequest(program_id=self.program_id, payout_id=payout_id, reason="no")
            await self.call(number, "reject_payout", self.client.payouts.RejectPayout, request, id=payout_id)

    async def _hand_over(self, number: int) -> None:
        request = payout_pb2.CreatePayoutBatchRequest(
            program_id=self.program_id, batch_id=self.new_id("batch"), method=self.method
        )

        def taken(answer: payout_pb2.CreatePayoutBatchResponse) -> dict[str, Any]:
            # Wallets that used the method before may have left something.
            return {"payouts": sorted(each.payout_id for each in answer.payouts if each.participant_id == self.name)}

        await self.call(number, "hand_over", self.client.payouts.CreatePayoutBatch, request, taken)

    async def _report(self, number: int) -> None:
        if self._payouts:
            payout_id, kind = self.rng.choice(self._payouts), self.rng.choice(list(_OUTCOMES))
            request = payout_pb2.ReportPayoutRequest(
                program_id=self.program_id, payout_id=payout_id, attempt=1, outcome=_OUTCOMES[kind]
            )
            await self.call(number, kind, self.client.payouts.ReportPayout, request, id=payout_id)

    async def _cancel(self, number: int) -> None:
        if self._payouts:
            payout_id = self.rng.choice(self._payouts)
            request = payout_pb2.CancelPayoutRequest(program_id=self.program_id, payout_id=payout_id)
            await self.call(number, "cancel_payout", self.client.payouts.CancelPayout, request, id=payout_id)


@dataclass
class Binding(Subject):
    """One participant whom several people want to have brought, each by a call of their own."""

    async def prepare(self) -> None:
        """Enrols them, and those who want to be their sponsor."""
        people = [self.name, *(self.sponsor(number) for number in range(BINDERS))]
        request = participant_pb2.EnrollParticipantsRequest(
            request_id=self.new_id("enrol"), program_id=self.program_id,
            participants=[participant_pb2.ParticipantDraft(participant_id=each) for each in people],
        )  # fmt: skip
        await self.recorder.call(
            self.name, 0, "enrol",
            lambda: self.client.participants.EnrollParticipants(request, timeout=CALL_SECONDS),
        )  # fmt: skip

    def sponsor(self, number: int) -> str:
        """Who it is that the client of a number binds to."""
        return f"{self.name}-sponsor-{number}"

    async def play(self, number: int) -> None:
        """Binds, and reads before and after."""
        await self._read(number)
        sponsor = self.sponsor(number)
        request = participant_pb2.BindSponsorRequest(
            request_id=self.new_id("bind"), program_id=self.program_id, participant_id=self.name, sponsor_id=sponsor
        )
        await self.call(number, "bind", self.client.participants.BindSponsor, request, id=sponsor)
        await self._read(number)

    async def _read(self, number: int) -> None:
        request = participant_pb2.GetParticipantRequest(program_id=self.program_id, participant_id=self.name)

        def sponsor(answer: participant_pb2.GetParticipantResponse) -> dict[str, Any]:
            return {"sponsor": answer.participant.binding.sponsor_id}

        await self.call(number, "read", self.client.participants.GetParticipant, request, sponsor)


@dataclass
class Budget(Subject):
    """The one budget of a program of its own: bounties that are more than what is left of it are cut to what is left,
    and what is taken back can be paid again."""

    async def play(self, number: int) -> None:
        """One client's bounties."""
        mine: list[tuple[str, int]] = []
        for turn in range(CALLS_A_BUDGET_CLIENT):
            if mine and self.rng.random() < 0.4:
                await self.take_back(number, "take_back", *mine.pop())
            else:
                buyer = f"{self.name}-{number}-{turn}"
                mine.append(await self.buy(number, "bounty", "bounty", buyer, self.rng.randint(500, 3_000)))
