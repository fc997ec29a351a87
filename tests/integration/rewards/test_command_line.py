"""`upline wallet`, `payouts`, `approvals` and `report`, as an accountant runs them."""

import asyncio
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.stacks import environment
from tests.integration.rewards.conftest import Ledger, Published, message, recorded
from tests.integration.rewards.paying_out import Treasury, payout_plan


async def upline(ledger: Ledger, *arguments: str, code: int = 0) -> str:
    """Runs one command against the service; returns what it prints."""
    targets = [
        word
        for name in ("attribution", "rewards", "notify")
        for word in ("--target", f"{name}={ledger.rewards.target}")
    ]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments, *targets],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    result = await asyncio.to_thread(run)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


async def as_json(ledger: Ledger, *arguments: str) -> Any:
    """The value a command prints."""
    return json.loads(await upline(ledger, *arguments, "--json"))


async def test_payouts_go_through_files(ledger: Ledger, published: Published, tmp_path: Path) -> None:
    maria = Treasury(ledger, await published(payout_plan(approval=True)))
    program, file = maria.program, tmp_path / "batch.csv"
    await ledger.settle(message(recorded(program, "c1", 100_000)))
    for number in (1, 2):
        await maria.ask(f"p{number}", 1_000)
    table = await upline(ledger, "payouts", "list", program, "--state-is", "requested")
    assert "10.00 USD" in table
    assert "requested" in table
    await upline(ledger, "payouts", "list", program, "--state-is", "lost", code=2)
    await upline(ledger, "payouts", "reject", program, "p2", "--reason", "not yours")
    assert (await as_json(ledger, "payouts", "approve", program, "p1"))["payouts"][0]["state"] == "APPROVED"
    await upline(ledger, "payouts", "batch", program, "b1", "--csv", str(file))
    with file.open() as stream:
        assert [(row["payout_id"], row["amount"]) for row in csv.DictReader(stream)] == [("p1", "9.65")]
    assert "set aside" in await upline(ledger, "wallet", program, "maria")
    await upline(ledger, "payouts", "report", program, "p1", "--attempt", "1", "--failed", "--reason", "closed")
    await upline(ledger, "payouts", "retry", program, "p1")
    await upline(ledger, "payouts", "batch", program, "b2", "--csv", str(file))
    await upline(ledger, "payouts", "report", program, "p1", "--paid", code=2)
    await upline(ledger, "payouts", "report", program, "p1", "--attempt", "2", "--paid", "--reference", "r-1")
    listed = (await as_json(ledger, "payouts", "list", program))["payouts"]
    assert [(each["payout_id"], each["state"]) for each in listed] == [("p2", "REJECTED"), ("p1", "PAID")]
    assert await maria.money() == (0, 9_000, 0, 0)
    for said in ((), ("--paid", "--bounced")):
        await upline(ledger, "payouts", "report", program, "p1", "--attempt", "2", *said, code=2)
    await upline(ledger, "payouts", "report", program, "p1", "--attempt", "1", "--bounced", code=1)
    back = ("payouts", "report", program, "p1", "--attempt", "2", "--bounced", "--reason", "no such account")
    assert "no such account" in await upline(ledger, *back)
    assert "bounced" in await upline(ledger, "payouts", "list", program, "--state-is", "bounced")
    assert await maria.money() == (0, 9_965, 0, 0)


async def test_a_person_approves_and_rejects(ledger: Ledger, published: Published) -> None:
    plan = payout_plan()
    for rule in plan.rules:
        rule.hold.approval = True
    program = await published(plan)
    await ledger.settle(message(recorded(program, "c1", 1_000), recorded(program, "c2", 2_000)))
    listed = await as_json(ledger, "approvals", "list", program)
    assert {each["conversion_id"] for each in listed["approvals"]} == {"c1", "c2"}
    await upline(ledger, "approvals", "approve", program, "c1")
    refused = await upline(ledger, "approvals", "reject", program, "c2", "--reason", "the deal was lost")
    assert "rejected" in refused
    assert (await as_json(ledger, "approvals", "list", program))["approvals"] == []


async def test_a_period_is_reported_on_screen_and_in_a_file(
    ledger: Ledger, published: Published, tmp_path: Path
) -> None:
    program, file = await published(payout_plan()), tmp_path / "may.csv"
    await ledger.settle(message(recorded(program, "c1", 100_000)))
    period = ("--from", "2026-05-01", "--to", "2026-05-02")
    told = await upline(ledger, "report", program, *period)
    assert "100.00" in told
    assert "accrual" in told
    await upline(ledger, "report", program, *period, "--csv", str(file))
    with file.open() as stream:
        accounts = {row["name"]: row["closing"] for row in csv.DictReader(stream) if row["asset"] == "USD"}
    assert accounts["available"] == "100.00"
    await upline(ledger, "report", program, "--from", "yesterday", "--to", "2026-05-02", code=2)
    before = await as_json(ledger, "wallet", program, "maria", "--at", "2026-04-30")
    assert [each["available_minor"] for each in before["balances"]] == [0, 0]
