"""Dear calls are limited in number: however many come, ordinary ones find connections, and orders are settled."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from sqlalchemy import text
from upline.rewards.v1 import reward_pb2, wallet_pb2

from chassis.gates import LIMITS, CallClass
from services.rewards.commands import audit
from services.rewards.rpc import wallets
from services.rewards.store.audits import full
from services.rewards.store.audits.findings import Audit
from services.rewards.store.audits.helpers import MAX_HELPERS
from tests.e2e.conftest import OpenProgram
from tests.e2e.world import World
from tests.errors import reason_of, status_of
from tests.faults.test_work_apart import is_serving, probed
from tests.flow import becomes
from tests.running import DEADLINE_SECONDS, Running

AUDITS = 12
"""More than there are connections for calls."""
PATIENCE_SECONDS = 600.0
"""The deadline of audits that the test holds: none ends by itself."""
ROOM = LIMITS[CallClass.SWEEPING].at_once


class HeldAudits:
    """Audits that stop in their transactions, each on a connection of its own, until the test lets them go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run: Callable[..., Any] = audit.full.run
        self.begun = 0
        self.go_on = asyncio.Event()
        monkeypatch.setattr(audit.full, "run", self._held)

    async def _held(self, *inputs: Any) -> Audit:
        self.begun += 1
        await self.go_on.wait()
        found: Audit = await self._run(*inputs)
        return found


async def audited(world: World) -> grpc.aio.AioRpcError | None:
    """An audit's error, if it has one."""
    try:
        await world.client.wallets.AuditLedger(
            wallet_pb2.AuditLedgerRequest(program_id=world.program_id, full=True), timeout=PATIENCE_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def test_twelve_audits_at_once_stop_nobody_else(
    opened: OpenProgram, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [await opened("three-levels.yaml") for _ in range(AUDITS)]
    world = worlds[0]
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    held = HeldAudits(monkeypatch)
    tasks = [asyncio.create_task(audited(each)) for each in worlds]

    async def refused() -> int:
        return sum(each.done() for each in tasks)

    try:
        await becomes(refused, AUDITS - ROOM)
        assert held.begun == ROOM
        await world.buy("paid-all-the-same", "vera", 10_000)
        await world.drained()
        assert await world.wallet("maria") == {"USD": (0, 500)}
        await probed(monkeypatch)
        assert await is_serving(rewards)
    finally:
        held.go_on.set()
        errors = [error for error in await asyncio.gather(*tasks) if error is not None]
    assert {(each.code(), reason_of(each)) for each in errors} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    }
    retry = error_details_pb2.RetryInfo()
    assert all(status_of(each).details[-1].Unpack(retry) for each in errors)
    assert retry.retry_delay.ToTimedelta().total_seconds() == LIMITS[CallClass.SWEEPING].retry_seconds
    assert await audited(world) is None


async def test_audits_keep_no_explanation_waiting(opened: OpenProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = [await opened("three-levels.yaml") for _ in range(ROOM)]
    await worlds[0].buy("an-order", "vera", 10_000)
    await worlds[0].drained()
    held = HeldAudits(monkeypatch)
    tasks = [asyncio.create_task(audited(each)) for each in worlds]

    async def begun() -> int:
        return held.begun

    try:
        await becomes(begun, ROOM)
        request = reward_pb2.ExplainConversionRequest(program_id=worlds[0].program_id, conversion_id="an-order")
        await worlds[0].client.rewards.ExplainConversion(request, timeout=DEADLINE_SECONDS)
    finally:
        held.go_on.set()
    assert await asyncio.gather(*tasks) == [None] * ROOM


async def test_two_audits_at_once_are_one(opened: OpenProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await opened("three-levels.yaml")
    asked = 0
    audit_ledger = wallets.audit_ledger

    async def counted(*inputs: Any) -> Audit:
        nonlocal asked
        asked += 1
        return await audit_ledger(*inputs)

    async def both_asked() -> int:
        return asked

    monkeypatch.setattr(wallets, "audit_ledger", counted)
    held = HeldAudits(monkeypatch)
    tasks = [asyncio.create_task(audited(world)) for _ in range(2)]
    try:
        await becomes(both_asked, 2)
    finally:
        held.go_on.set()
    assert await asyncio.gather(*tasks) == [None, None]
    assert held.begun == 1


async def test_full_audits_and_their_helpers_leave_connections_to_others(
    opened: OpenProgram, rewards: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [await opened("three-levels.yaml") for _ in range(ROOM)]
    world = worlds[0]
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    find, go_on = full.find, asyncio.Event()
    patience: Counter[str] = Counter()

    async def held(*inputs: Any) -> Any:
        if not go_on.is_set():
            shown = await inputs[0].execute(text("SHOW idle_in_transaction_session_timeout"))
            patience[shown.scalar_one()] += 1
        await go_on.wait()
        return await find(*inputs)

    async def in_use() -> int:
        return int(rewards.service.database.in_use())

    monkeypatch.setattr(full, "find", held)
    tasks = [asyncio.create_task(audited(each)) for each in worlds]
    try:
        await becomes(in_use, ROOM + MAX_HELPERS)
        await world.buy("paid-all-the-same", "vera", 10_000)
        await world.drained()
        assert await world.wallet("maria") == {"USD": (0, 500)}
        request = wallet_pb2.GetAuditProgressRequest(program_id=world.program_id)
        progress = await world.client.wallets.GetAuditProgress(request, timeout=DEADLINE_SECONDS)
        # Whoever waits for helpers may do so for as long as a check may take.
        assert patience == {"15min": ROOM, "1min": MAX_HELPERS}
        assert 0 <= progress.checks_done < progress.checks_total == len(full.CHECKS) + 1
    finally:
        go_on.set()
    assert await asyncio.gather(*tasks) == [None] * ROOM
    progress = await world.client.wallets.GetAuditProgress(request, timeout=DEADLINE_SECONDS)
    assert (progress.checks_done, progress.checks_total) == (0, 0)
