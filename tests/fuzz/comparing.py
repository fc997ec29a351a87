"""The end of a run: everything that it left is compared."""

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from upline.rewards.v1 import wallet_pb2

from cli.client import Addresses, Client
from tests.e2e.stacks import Up, upline
from tests.faults.killing import nats_url, postgres_url
from tests.flow import Flow
from tests.fuzz.answers import NOT_YET, reason_of
from tests.fuzz.effects import Effects
from tests.fuzz.summary import Summary

DRAIN_SECONDS = 300.0
AUDIT_SECONDS = 600.0
MANY_CALLS = 10_000
"""Fewer leave so little that processes to compute it again would start for longer than they work."""
MAX_MEMORY_MB = 400
SEVERE = re.compile(r"\[error|Traceback|\[critical")


async def compare(stack: Up, effects: Effects, summary: Summary) -> None:
    """Waits until all is settled, audits and rebuilds; notes everything that does not agree."""
    await Flow(postgres_url(stack), nats_url(stack)).drained(DRAIN_SECONDS)
    await effects.quiet()
    summary.wrong += [f"an event was set aside: {each}" for each in await effects.dead_letters()]
    async with Client(Addresses(**stack.published["services"])) as client:
        audit = await _audit(client)
    summary.figures |= {
        "transfers": audit.transfer_count, "accounts": audit.account_count, "rewards": audit.reward_count,
    }  # fmt: skip
    summary.wrong += [f"audit: {each.check} {each.program_id} {each.subject}: {each.detail}" for each in audit.findings]
    jobs = ("--jobs", "1") if summary.calls < MANY_CALLS else ()
    rebuilt = await asyncio.to_thread(
        upline, "rebuild", "--check", "--json", *jobs, state=stack.state, check=False, seconds=1_200.0
    )
    with suppress(ValueError):
        result: dict[str, Any] = json.loads(rebuilt.stdout)
        summary.figures |= {f"rebuilt_{name}": value for name, value in result.items() if isinstance(value, int)}
    if rebuilt.returncode != 0:
        summary.wrong.append(f"rebuild: {rebuilt.stdout[-2_000:]} {rebuilt.stderr[-2_000:]}")


def judge(stack: Up, pids: dict[str, int], found: dict[str, int], summary: Summary) -> None:
    """Notes what became of the processes, by their names before and after, and what is bad in the log."""
    if found != pids:
        summary.wrong.append(f"processes ended: {pids} became {found}")
    for name, pid in found.items():
        summary.memory_mb[name] = _peak_mb(pid)
        if summary.memory_mb[name] > MAX_MEMORY_MB:
            summary.wrong.append(f"{name} took {summary.memory_mb[name]} MB")
    severe = [line for line in stack.log.read_text(errors="replace").splitlines() if SEVERE.search(line)]
    summary.wrong += [f"{len(severe)} lines of the log: {severe[:5]}"] if severe else []


async def _audit(client: Client) -> wallet_pb2.AuditLedgerResponse:
    """An audit of all programs, when the job's has ended that may be under way."""
    while True:
        try:
            audit: wallet_pb2.AuditLedgerResponse = await client.wallets.AuditLedger(
                wallet_pb2.AuditLedgerRequest(full=True), timeout=AUDIT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if reason_of(error) not in NOT_YET:
                raise
            await asyncio.sleep(1.0)
        else:
            return audit


def _peak_mb(pid: int) -> int:
    """The most memory that a process has taken."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024
