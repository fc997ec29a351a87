"""upline.rewards.v1.WalletService."""

from dataclasses import dataclass

from upline.rewards.v1 import wallet_pb2

from chassis.server import Context
from services.rewards.commands.audit import audit_ledger
from services.rewards.commands.deps import Deps
from services.rewards.queries.deps import QueryDeps
from services.rewards.queries.wallets import get_wallet, list_transfers


@dataclass(frozen=True, slots=True)
class WalletServicer:
    """Wallets and the audit."""

    deps: Deps
    queries: QueryDeps

    async def GetWallet(self, request: wallet_pb2.GetWalletRequest, _context: Context) -> wallet_pb2.GetWalletResponse:
        return await get_wallet(self.queries, request)

    async def ListTransfers(
        self, request: wallet_pb2.ListTransfersRequest, _context: Context
    ) -> wallet_pb2.ListTransfersResponse:
        return await list_transfers(self.queries, request)

    async def AuditLedger(
        self, request: wallet_pb2.AuditLedgerRequest, _context: Context
    ) -> wallet_pb2.AuditLedgerResponse:
        audit = await audit_ledger(self.deps, request.program_id)
        return wallet_pb2.AuditLedgerResponse(
            balanced=not audit.findings,
            transfer_count=audit.transfer_count,
            account_count=audit.account_count,
            reward_count=audit.reward_count,
            findings=[
                wallet_pb2.AuditFinding(
                    check=each.check,
                    program_id=each.program_id,
                    subject=each.subject,
                    detail=each.detail,
                    concern=wallet_pb2.AUDIT_CONCERN_FLOW if each.of_flow else wallet_pb2.AUDIT_CONCERN_LEDGER,
                )
                for each in audit.findings
            ],
        )
