"""PayoutService: value that leaves the system, and the report about it."""

from dataclasses import dataclass
from datetime import datetime

from upline.rewards.v1 import payout_pb2

from chassis.handlers import Context
from chassis.pages import Pager, page_size
from services.rewards.commands import payouts
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.payout_report import get_payout_report
from services.rewards.queries.payouts import get_payout, list_payouts
from services.rewards.wire.payout_report import read_report_period, report_csv, report_message
from services.rewards.wire.payouts import batch_csv, payout_message, read_provider_answer, read_requested_payout


@dataclass(frozen=True, slots=True)
class PayoutServicer:
    """Payouts and their report. Methods are named as the contract names them, which says the rest."""

    service = payout_pb2.DESCRIPTOR.services_by_name["PayoutService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def RequestPayout(
        self, request: payout_pb2.RequestPayoutRequest, _context: Context
    ) -> payout_pb2.RequestPayoutResponse:
        payout = await payouts.request_payout(self.deps, read_requested_payout(request))
        return payout_pb2.RequestPayoutResponse(payout=payout_message(payout))

    async def ApprovePayout(
        self, request: payout_pb2.ApprovePayoutRequest, _context: Context
    ) -> payout_pb2.ApprovePayoutResponse:
        payout = await payouts.approve_payout(self.deps, request.program_id, request.payout_id)
        return payout_pb2.ApprovePayoutResponse(payout=payout_message(payout))

    async def RejectPayout(
        self, request: payout_pb2.RejectPayoutRequest, _context: Context
    ) -> payout_pb2.RejectPayoutResponse:
        payout = await payouts.reject_payout(self.deps, request.program_id, request.payout_id, request.reason)
        return payout_pb2.RejectPayoutResponse(payout=payout_message(payout))

    async def ReportPayout(
        self, request: payout_pb2.ReportPayoutRequest, _context: Context
    ) -> payout_pb2.ReportPayoutResponse:
        answer = read_provider_answer(request)
        payout = await payouts.report_payout(self.deps, request.program_id, request.payout_id, request.attempt, answer)
        return payout_pb2.ReportPayoutResponse(payout=payout_message(payout))

    async def RetryPayout(
        self, request: payout_pb2.RetryPayoutRequest, _context: Context
    ) -> payout_pb2.RetryPayoutResponse:
        payout = await payouts.retry_payout(self.deps, request.program_id, request.payout_id)
        return payout_pb2.RetryPayoutResponse(payout=payout_message(payout))

    async def CancelPayout(
        self, request: payout_pb2.CancelPayoutRequest, _context: Context
    ) -> payout_pb2.CancelPayoutResponse:
        payout = await payouts.cancel_payout(self.deps, request.program_id, request.payout_id)
        return payout_pb2.CancelPayoutResponse(payout=payout_message(payout))

    async def CreatePayoutBatch(
        self, request: payout_pb2.CreatePayoutBatchRequest, _context: Context
    ) -> payout_pb2.CreatePayoutBatchResponse:
        batch, digits = await payouts.create_batch(self.deps, request.program_id, request.batch_id, request.method)
        return payout_pb2.CreatePayoutBatchResponse(
            payouts=[payout_message(each) for each, _ in batch], csv=batch_csv(batch, digits)
        )

    async def GetPayout(self, request: payout_pb2.GetPayoutRequest, _context: Context) -> payout_pb2.GetPayoutResponse:
        payout = await get_payout(self.queries, request.program_id, request.payout_id)
        return payout_pb2.GetPayoutResponse(payout=payout_message(payout))

    async def ListPayouts(
        self, request: payout_pb2.ListPayoutsRequest, _context: Context
    ) -> payout_pb2.ListPayoutsResponse:
        size = page_size(request.page_size)
        position = self.pager.position(request, request.page_token)
        before = (datetime.fromisoformat(position[0]), str(position[1])) if position else None
        listed = await list_payouts(
            self.queries, request.program_id, request.participant_id, int(request.state), before, size + 1
        )
        messages, token = self.pager.page(
            request, listed, size, payout_message, lambda last: [last.create_time.isoformat(), last.payout_id]
        )
        return payout_pb2.ListPayoutsResponse(payouts=messages, next_page_token=token)

    async def GetSettlementReport(
        self, request: payout_pb2.GetSettlementReportRequest, _context: Context
    ) -> payout_pb2.GetSettlementReportResponse:
        start, end = read_report_period(request)
        reports, digits = await get_payout_report(self.queries, request.program_id, start, end)
        return payout_pb2.GetSettlementReportResponse(
            assets=[report_message(each) for each in reports], csv=report_csv(reports, digits)
        )
