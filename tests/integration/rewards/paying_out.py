"""Calls and reports for tests of payouts."""

from typing import Any

from upline.rewards.v1 import payout_pb2, payout_pb2_grpc, plan_pb2

from tests.integration.rewards.conftest import Ledger
from tests.integration.rewards.spending import Spender, spending_plan
from tests.running import DEADLINE_SECONDS

SAID_PAID, SAID_FAILED, SAID_BOUNCED = (
    payout_pb2.PAYOUT_OUTCOME_PAID,
    payout_pb2.PAYOUT_OUTCOME_FAILED,
    payout_pb2.PAYOUT_OUTCOME_BOUNCED,
)


def payout_plan(approval: bool = False, methods: tuple[str, ...] = ("bank",)) -> plan_pb2.Plan:
    """Money leaves from 5.00, for 0.30 and half a percent."""
    terms = plan_pb2.PayoutTerms(
        asset="USD",
        methods=[plan_pb2.PayoutMethod(method=each, fee_minor=30, fee_percent="0.5") for each in methods],
        min_amount_minor=500,
        approval=approval,
    )
    return spending_plan(payouts=[terms])


class Treasury(Spender):
    """One participant and the payouts of the program, over gRPC."""

    def __init__(self, ledger: Ledger, program: str, participant: str = "maria", channel: Any = None) -> None:
        super().__init__(ledger, program, participant)
        self.payouts = payout_pb2_grpc.PayoutServiceStub(channel or ledger.rewards.channel)

    async def ask(self, payout_id: str, amount_minor: int, **fields: Any) -> payout_pb2.Payout:
        """Asks for a payout."""
        defaults: dict[str, Any] = {
            "participant_id": self.participant, "asset": "USD", "method": "bank", "destination": "token-1"
        }  # fmt: skip
        request = payout_pb2.RequestPayoutRequest(
            program_id=self.program, payout_id=payout_id, amount_minor=amount_minor, **(defaults | fields)
        )
        return (await self.payouts.RequestPayout(request, timeout=DEADLINE_SECONDS)).payout

    async def act(self, verb: str, payout_id: str, **fields: Any) -> payout_pb2.Payout:
        """`Approve`, `Reject`, `Report` (the first attempt, if no other is named), `Retry`, `Cancel` or `Get`."""
        if verb == "Report":
            fields = {"attempt": 1} | fields
        request = getattr(payout_pb2, f"{verb}PayoutRequest")(program_id=self.program, payout_id=payout_id, **fields)
        call = getattr(self.payouts, f"{verb}Payout")
        payout: payout_pb2.Payout = (await call(request, timeout=DEADLINE_SECONDS)).payout
        return payout

    async def batch(self, batch_id: str, method: str = "") -> payout_pb2.CreatePayoutBatchResponse:
        """Hands everything that waits over in one file."""
        request = payout_pb2.CreatePayoutBatchRequest(program_id=self.program, batch_id=batch_id, method=method)
        return await self.payouts.CreatePayoutBatch(request, timeout=DEADLINE_SECONDS)

    async def listed(self, **fields: Any) -> payout_pb2.ListPayoutsResponse:
        """A page of payouts."""
        request = payout_pb2.ListPayoutsRequest(program_id=self.program, **fields)
        return await self.payouts.ListPayouts(request, timeout=DEADLINE_SECONDS)

    async def money(self) -> tuple[int, int, int, int]:
        """(held, available, reserved, debt) in dollars."""
        return await self.balance("USD")
