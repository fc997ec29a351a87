"""upline.rewards.v1.PayoutService."""

from dataclasses import dataclass

from upline.rewards.v1 import payout_pb2

from chassis.server import Context
from services.rewards.commands import payouts
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.payout_report import get_settlement_report
from services.rewards.queries.payouts import get_payout, list_payouts
from services.rewards.wire.payouts import batch_csv, payout_message


@dataclass(frozen=True, slots=True)
class PayoutServicer:
    """Payouts and the settlement report."""

    deps: Deps
    queries: QueryDeps

    async def RequestPayout(
        self, request: payout_pb2.RequestPayoutRequest, _context: Context
    ) -> payout_pb2.RequestPayoutResponse:
        made = await payouts.request_payout(self.deps, request)
        return payout_pb2.RequestPayoutResponse(payout=payout_message(made))

    async def ApprovePayout(
        self, request: payout_pb2.ApprovePayoutRequest, _context: Context
    ) -> payout_pb2.ApprovePayoutResponse:
        changed = await payouts.approve_payout(self.deps, request)
        return payout_pb2.ApprovePayoutResponse(payout=payout_message(changed))

    async def RejectPayout(
        self, request: payout_pb2.RejectPayoutRequest, _context: Context
    ) -> payout_pb2.RejectPayoutResponse:
        changed = await payouts.reject_payout(self.deps, request)
        return payout_pb2.RejectPayoutResponse(payout=payout_message(changed))

    async def ReportPayout(
        self, request: payout_pb2.ReportPayoutRequest, _context: Context
    ) -> payout_pb2.ReportPayoutResponse:
        changed = await payouts.report_payout(self.deps, request)
        return payout_pb2.ReportPayoutResponse(payout=payout_message(changed))

    async def RetryPayout(
        self, request: payout_pb2.RetryPayoutRequest, _context: Context
    ) -> payout_pb2.RetryPayoutResponse:
        changed = await payouts.retry_payout(self.deps, request)
        return payout_pb2.RetryPayoutResponse(payout=payout_message(changed))

    async def CancelPayout(
        self, request: payout_pb2.CancelPayoutRequest, _context: Context
    ) -> payout_pb2.CancelPayoutResponse:
        changed = await payouts.cancel_payout(self.deps, request)
        return payout_pb2.CancelPayoutResponse(payout=payout_message(changed))

    async def CreatePayoutBatch(
        self, request: payout_pb2.CreatePayoutBatchRequest, _context: Context
    ) -> payout_pb2.CreatePayoutBatchResponse:
        batch, digits = await payouts.create_batch(self.deps, request)
        return payout_pb2.CreatePayoutBatchResponse(
            payouts=[payout_message(each) for each, _ in batch], csv=batch_csv(batch, digits)
        )

    async def GetPayout(self, request: payout_pb2.GetPayoutRequest, _context: Context) -> payout_pb2.GetPayoutResponse:
        return await get_payout(self.queries, request)

    async def ListPayouts(
        self, request: payout_pb2.ListPayoutsRequest, _context: Context
    ) -> payout_pb2.ListPayoutsResponse:
        return await list_payouts(self.queries, request)

    async def GetSettlementReport(
        self, request: payout_pb2.GetSettlementReportRequest, _context: Context
    ) -> payout_pb2.GetSettlementReportResponse:
        return await get_settlement_report(self.queries, request)
