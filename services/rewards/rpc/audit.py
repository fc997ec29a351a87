"""Audits out."""

from upline.rewards.v1 import wallet_pb2

from chassis.times import to_timestamp
from services.rewards.store.audits.findings import Audit, AuditFinding


def audit_message(audit: Audit) -> wallet_pb2.AuditLedgerResponse:
    """An audit, as callers see it."""
    answer = wallet_pb2.AuditLedgerResponse(
        balanced=not audit.findings,
        transfer_count=audit.transfer_count,
        account_count=audit.account_count,
        reward_count=audit.reward_count,
        findings=map(_finding_message, audit.findings),
        kind=wallet_pb2.AUDIT_KIND_FULL,
    )
    if audit.coverage is not None:
        answer.kind = wallet_pb2.AUDIT_KIND_INCREMENTAL
        answer.since_time.CopyFrom(to_timestamp(audit.coverage.since_time))
        answer.recomputed_wallet_count = audit.coverage.wallet_count
        answer.recomputed_since_time.CopyFrom(to_timestamp(audit.coverage.round_time))
    return answer


def _finding_message(finding: AuditFinding) -> wallet_pb2.AuditFinding:
    return wallet_pb2.AuditFinding(
        check=finding.check,
        program_id=finding.program_id,
        subject=finding.subject,
        detail=finding.detail,
        concern=wallet_pb2.AUDIT_CONCERN_FLOW if finding.of_flow else wallet_pb2.AUDIT_CONCERN_LEDGER,
    )
