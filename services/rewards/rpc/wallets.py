"""WalletService: wallets, statements and the audit."""

from dataclasses import dataclass

from upline.rewards.v1 import wallet_pb2

from chassis.handlers import Context
from chassis.pages import Pager, page_size
from services.rewards.commands.audit import audit_ledger, audit_progress
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.wallets import get_wallet, list_transfers
from services.rewards.rpc.audit import audit_message
from services.rewards.wire.wallets import balance_message, read_at_time, transfer_message


@dataclass(frozen=True, slots=True)
class WalletServicer:
    """Wallets and the audit. Methods are named as the contract names them, which says the rest."""

    service = wallet_pb2.DESCRIPTOR.services_by_name["WalletService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def GetWallet(self, request: wallet_pb2.GetWalletRequest, _context: Context) -> wallet_pb2.GetWalletResponse:
        balances = await get_wallet(self.queries, request.program_id, request.participant_id, read_at_time(request))
        return wallet_pb2.GetWalletResponse(balances=[balance_message(each) for each in balances])

    async def ListTransfers(
        self, request: wallet_pb2.ListTransfersRequest, _context: Context
    ) -> wallet_pb2.ListTransfersResponse:
        size = page_size(request.page_size)
        position = self.pager.position(request, request.page_token)
        last_id = position[0] if position else ""
        transfers = await list_transfers(self.queries, request.program_id, request.participant_id, last_id, size + 1)
        messages, token = self.pager.page(request, transfers, size, transfer_message, lambda last: [last.transfer_id])
        return wallet_pb2.ListTransfersResponse(transfers=messages, next_page_token=token)

    async def AuditLedger(
        self, request: wallet_pb2.AuditLedgerRequest, _context: Context
    ) -> wallet_pb2.AuditLedgerResponse:
        return audit_message(await audit_ledger(self.deps, request.program_id, request.full))

    async def GetAuditProgress(
        self, request: wallet_pb2.GetAuditProgressRequest, _context: Context
    ) -> wallet_pb2.GetAuditProgressResponse:
        progress = audit_progress(self.deps, request.program_id)
        return wallet_pb2.GetAuditProgressResponse(checks_done=progress.done, checks_total=progress.total)
