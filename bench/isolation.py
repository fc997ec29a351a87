"""How one program fares while another does its worst: the time from an order to the wallet, failed calls, and memory.

Each load runs in a process of its own (`isolation_load.py`) while orders of an innocent program are recorded one after
the other.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import grpc
import psycopg
from upline.attribution.v1 import conversion_pb2, conversion_pb2_grpc, participant_pb2, program_pb2
from upline.rewards.v1 import plan_pb2, wallet_pb2, wallet_pb2_grpc
from upline.type.v1 import asset_pb2

from bench import worst_plans
from bench.figures import Figure, percentile
from bench.isolation_load import RATES, WORST_PROGRAM
from bench.latency import order_of, run_stack
from chassis.topology import CONVERSIONS
from cli.client import Addresses, Client
from cli.stack.supervisor import Stack

PROGRAM = "innocent"
ORDERS = 100
"""The orders of the innocent program while each load lasts, and alone before and after."""
ORDER_PAUSE_SECONDS = 0.1
HISTORY = 20_000
"""Orders that were settled before, for audits to look at."""
SETTLE_SECONDS = 3.0
"""The time for which a load lasts before it is measured."""
DRAIN_SECONDS = 120.0
"""The longest wait for what a load left to be done."""
POLL_SECONDS = 0.005
CALL_SECONDS = 20.0
MEASURE_SECONDS = 60.0
"""No more orders are begun after that: where they wait for a load, fewer tell as much."""
MEMORY_LOOK_SECONDS = 0.25
MOST_SECONDS = 0.3
MOST_TIMES_ALONE = 3
MOST_MIB = 400

PLANS: dict[str, Callable[[], plan_pb2.Plan]] = {
    "costly": worst_plans.costly_conditions,
    "many": worst_plans.many_conditions,
    "lines": worst_plans.conditions_on_lines,
    "rewards": worst_plans.many_rewards,
}
LOADS = (*PLANS, "audits", "bad_requests", "redirect")


@dataclass
class _Innocent:
    """The calls of the program that does nothing wrong; none is repeated where it fails."""

    conversions: conversion_pb2_grpc.ConversionServiceStub
    wallets: wallet_pb2_grpc.WalletServiceStub
    failed: list[str] = field(default_factory=list)
    calls: int = 0
    next_number: int = 0

    async def times(self) -> list[float]:
        """Seconds from each order to its wallet."""
        found = []
        ends = time.perf_counter() + MEASURE_SECONDS
        for _ in range(ORDERS):
            if time.perf_counter() >= ends:
                break
            self.next_number += 1
            if (seconds := await self._once(self.next_number)) is not None:
                found.append(seconds)
            await asyncio.sleep(ORDER_PAUSE_SECONDS)
        return found

    async def _once(self, number: int) -> float | None:
        sponsor = f"sponsor-{number}"
        began = time.perf_counter()
        try:
            self.calls += 1
            await self.conversions.RecordConversion(
                conversion_pb2.RecordConversionRequest(program_id=PROGRAM, conversion=order_of(f"buyer-{number}")),
                timeout=CALL_SECONDS,
            )
            request = wallet_pb2.GetWalletRequest(program_id=PROGRAM, participant_id=sponsor)
            while time.perf_counter() - began < CALL_SECONDS:
                self.calls += 1
                wallet = await self.wallets.GetWallet(request, timeout=CALL_SECONDS)
                if wallet.balances[0].available_minor:
                    return time.perf_counter() - began
                await asyncio.sleep(POLL_SECONDS)
            self.failed.append("not paid in time")
        except grpc.aio.AioRpcError as error:
            self.failed.append(f"{error.code().name} {error.details()}")
        return None


async def measure() -> list[Figure]:
    """Measures isolation_*."""
    figures: list[Figure] = []
    with run_stack(with_redirect=True) as stack:
        addresses = stack.layout.addresses()
        async with (
            Client(Addresses(**addresses)) as client,
            grpc.aio.insecure_channel(addresses["attribution"]) as attribution,
            grpc.aio.insecure_channel(addresses["rewards"]) as rewards,
            _memory(stack) as most_mib,
        ):
            innocent = _Innocent(
                conversion_pb2_grpc.ConversionServiceStub(attribution), wallet_pb2_grpc.WalletServiceStub(rewards)
            )
            await _prepare(client)
            alone = await innocent.times()
            figures += _figures("alone", alone, 0, alone, "")
            for load in os.environ.get("ISOLATION_LOADS", " ".join(LOADS)).split():
                failed = len(innocent.failed)
                if load in PLANS:
                    await _publish(client, WORST_PROGRAM, PLANS[load]())
                async with _load(stack, load) as did:
                    await asyncio.sleep(SETTLE_SECONDS)
                    found = await innocent.times()
                failures = innocent.failed[failed:]
                note = f"{load} {did.get('rate', '')} {did['did']}; left over for {await _drained(stack):.0f} s"
                figures += _figures(load, found, len(failures), alone, note + "".join(f"; {e}" for e in failures[:1]))
                for each in figures[-3:]:
                    print(each.line(), file=sys.stderr, flush=True)
            most = dict(most_mib)
    return [
        *figures,
        *(Figure(f"isolation_memory_{name}", (mib,), "MiB", f"< {MOST_MIB}") for name, mib in most.items()),
    ]


def _figures(label: str, found: Sequence[float], failures: int, alone: Sequence[float], note: str) -> list[Figure]:
    bound = max(MOST_TIMES_ALONE * percentile(alone, 0.99), MOST_SECONDS) * 1000
    goal = f"≤ {bound:.0f}"
    taken = [each * 1000 for each in found] or [CALL_SECONDS * 1000]
    return [
        Figure(f"isolation_{label}_p50", (percentile(taken, 0.5),), "ms"),
        Figure(f"isolation_{label}_p99", (percentile(taken, 0.99),), "ms", goal, note),
        Figure(f"isolation_{label}_failed_calls", (failures,), "calls", "0"),
    ]


async def _prepare(client: Client) -> None:
    policy = program_pb2.AttributionPolicy(
        touch=program_pb2.TOUCH_LAST, binding=program_pb2.BINDING_LIFETIME, bindable=program_pb2.BINDABLE_UNBOUND
    )
    policy.window.FromSeconds(86_400)
    for name in (PROGRAM, WORST_PROGRAM):
        program = program_pb2.Program(program_id=name, currency_code="USD", policy=policy)
        await client.programs.CreateProgram(
            program_pb2.CreateProgramRequest(request_id=uuid4().hex, program=program), timeout=CALL_SECONDS
        )
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["5", "2", "1"])),
    )
    await _publish(
        client,
        PROGRAM,
        plan_pb2.Plan(assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)], rules=[rule]),
    )
    people = []
    for number in range(1, ORDERS * (len(LOADS) + 2) + 1):  # whose wallets nobody else touches
        people.append(participant_pb2.ParticipantDraft(participant_id=f"sponsor-{number}"))
        people.append(
            participant_pb2.ParticipantDraft(participant_id=f"buyer-{number}", sponsor_id=f"sponsor-{number}")
        )
    people += [participant_pb2.ParticipantDraft(participant_id="top")]
    people += [
        participant_pb2.ParticipantDraft(participant_id=f"b{number}", sponsor_id="top") for number in range(1_000)
    ]
    await _enrol(client, PROGRAM, people)
    attributes = {f"k{number}": "value-" * 4 for number in range(49)} | {"rank": "rank-0"}
    tower = [
        participant_pb2.ParticipantDraft(
            participant_id="foot" if level == 0 else f"t{level}",
            sponsor_id=f"t{level + 1}" if level < worst_plans.LEVELS else "",
            attributes=attributes,
        )
        for level in reversed(range(worst_plans.LEVELS + 1))
    ]
    await _enrol(client, WORST_PROGRAM, tower)
    for start in range(0, HISTORY, 500):
        drafts = [order_of(f"b{number % 1_000}") for number in range(start, start + 500)]
        await client.conversions.RecordConversions(
            conversion_pb2.RecordConversionsRequest(program_id=PROGRAM, conversions=drafts), timeout=CALL_SECONDS
        )
    await asyncio.sleep(10.0)


async def _publish(client: Client, program_id: str, plan: plan_pb2.Plan) -> None:
    await client.plans.PublishPlan(
        plan_pb2.PublishPlanRequest(request_id=uuid4().hex, program_id=program_id, plan=plan, currency_code="USD"),
        timeout=CALL_SECONDS,
    )


async def _enrol(client: Client, program_id: str, people: Sequence[participant_pb2.ParticipantDraft]) -> None:
    for start in range(0, len(people), 1_000):
        await client.participants.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=uuid4().hex, program_id=program_id, participants=people[start : start + 1_000]
            ),
            timeout=CALL_SECONDS,
        )


@asynccontextmanager
async def _load(stack: Stack, kind: str) -> AsyncIterator[dict[str, object]]:
    """Runs a load in a process of its own; what it did is in the mapping afterwards."""
    environment = os.environ | {
        "BENCH_ADDRESSES": json.dumps(stack.layout.addresses()),
        "BENCH_REDIRECT": stack.layout.redirect_url,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.isolation_load", kind], env=environment, stdout=subprocess.PIPE, text=True
    )
    did: dict[str, object] = {}
    try:
        await asyncio.to_thread(process.stdout.readline)  # type: ignore[union-attr]
        yield did
    finally:
        process.terminate()
        out, _ = await asyncio.to_thread(process.communicate)
        did |= json.loads(out)
        if kind in RATES:
            did["rate"] = f"at {RATES[kind]:g}/s"


async def _drained(stack: Stack) -> float:
    """Waits until what a load left is done; seconds."""
    began = time.perf_counter()
    while time.perf_counter() - began < DRAIN_SECONDS:
        left = await asyncio.to_thread(_pending, stack.servers.nats_monitor_url)
        if not left and not await asyncio.to_thread(_deferred, stack.servers.database_url):
            break
        await asyncio.sleep(0.5)
    return time.perf_counter() - began


def _deferred(database_url: str) -> int:
    """How many facts wait for their turn."""
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT count(*) FROM rewards.deferred").fetchone()
    return int(row[0]) if row else 0


def _pending(monitor_url: str) -> int:
    """How many messages of conversions are not settled yet."""
    with urlopen(f"{monitor_url}/jsz?streams=true&consumers=true", timeout=10) as answer:
        accounts = json.load(answer)["account_details"]
    return sum(
        consumer["num_pending"] + consumer["num_ack_pending"]
        for account in accounts
        for stream in account["stream_detail"]
        for consumer in stream.get("consumer_detail") or ()
        if stream["name"] == CONVERSIONS.name
    )


@asynccontextmanager
async def _memory(stack: Stack) -> AsyncIterator[dict[str, float]]:
    """The most resident memory of each service meanwhile."""
    most: dict[str, float] = defaultdict(float)

    async def watch() -> None:
        while True:
            for process in stack.processes:
                if process.child is not None:
                    with suppress(OSError, StopIteration):
                        most[process.name] = max(most[process.name], peak_mib(process.child.process.pid))
            await asyncio.sleep(MEMORY_LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield most
    finally:
        watching.cancel()


def peak_mib(pid: int) -> float:
    """The most memory that a process ever had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) / 1024 for each in lines if each.startswith("VmHWM:"))
