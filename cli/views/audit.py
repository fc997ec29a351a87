"""The auditor's answer: whether the ledger balances, and what needs a person."""

import asyncio

from rich.progress import Progress
from upline.rewards.v1 import wallet_pb2

from cli.client import CALL_SECONDS, Client
from cli.output import format_time, make_table, out

AUDIT_SECONDS = 1_800.0
"""The deadline of an audit: any may come to read every transfer there is."""
PROGRESS_SECONDS = 1.0
"""How often an audit is asked how far it is."""


async def read_audit(client: Client, program: str, *, full: bool) -> wallet_pb2.AuditLedgerResponse:
    """The answer of the audit of one program, or of all: of everything, or of what is new and a sample."""
    answer: wallet_pb2.AuditLedgerResponse = await client.wallets.AuditLedger(
        wallet_pb2.AuditLedgerRequest(program_id=program, full=full), timeout=AUDIT_SECONDS
    )
    return answer


async def read_full_audit(client: Client, program: str, bars: Progress) -> wallet_pb2.AuditLedgerResponse:
    """The answer of a full audit, and bars that tell how far it is meanwhile."""
    audit = asyncio.ensure_future(read_audit(client, program, full=True))
    bar = bars.add_task("checks", total=None)
    request = wallet_pb2.GetAuditProgressRequest(program_id=program)
    try:
        while not (await asyncio.wait([audit], timeout=PROGRESS_SECONDS))[0]:
            found = await client.wallets.GetAuditProgress(request, timeout=CALL_SECONDS)
            bars.update(bar, completed=found.checks_done, total=found.checks_total or None)
    finally:
        audit.cancel()
    return audit.result()


def ledger_balances(found: wallet_pb2.AuditLedgerResponse) -> bool:
    """Whether no finding is about the ledger itself. What is late or was set aside is another matter: it needs a
    person, too."""
    return all(each.concern == wallet_pb2.AUDIT_CONCERN_FLOW for each in found.findings)


def print_audit(found: wallet_pb2.AuditLedgerResponse) -> None:
    """Prints the verdict, and the findings if there are any."""
    read_ = f"{found.transfer_count} transfers, {found.account_count} accounts and {found.reward_count} rewards"
    if not ledger_balances(found):
        verdict = "THE LEDGER DOES NOT BALANCE"
    elif found.findings:
        verdict = "the ledger balances, and something on its way to it NEEDS A PERSON"
    else:
        verdict = "the ledger balances"
    out.print(f"{verdict}: {read_} compared")
    if found.kind == wallet_pb2.AUDIT_KIND_INCREMENTAL:
        out.print(
            f"read was what is new since {format_time(found.since_time)}, and {found.recomputed_wallet_count} wallets"
            f" from their beginning, as every one was since {format_time(found.recomputed_since_time)} (--full reads"
            " everything)"
        )
    if found.findings:
        rows = make_table("findings", "check", "program", "subject", "detail")
        for each in found.findings:
            rows.add_row(each.check, each.program_id, each.subject, each.detail)
        out.print(rows)
