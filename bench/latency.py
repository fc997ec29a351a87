"""Times from a recorded order to the wallet and the inbox, through the whole stack; and the memory of the services."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from upline.attribution.v1 import conversion_pb2, participant_pb2, program_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import plan_pb2, reward_pb2, wallet_pb2
from upline.type.v1 import asset_pb2, money_pb2

from bench.figures import Figure, percentile
from chassis.embedded.state import StateDirectory
from cli.client import Addresses, Client
from cli.stack.layout import ExternalServers, ephemeral_layout
from cli.stack.supervisor import Stack

PROGRAM = "bench"
PROBES = 60
PROBE_PAUSE_SECONDS = 0.05
QUIET_SECONDS = 12.0
"""A spell longer than readers of a stream wait at a time, so that the next order meets whatever their waiting left
behind."""
QUIET_ROUNDS = 4
QUIET_PROBES = 10
"""The number of orders after a quiet spell, each a moment after the one before was told."""
AFTER_QUIET_PAUSE_SECONDS = 0.15
PEAK_ORDERS = 20_000
BATCH = 250
TREE = 2_000
DEADLINE_SECONDS = 60.0
WALLET_POLL_SECONDS = 0.001
LEVELS = 3


async def measure() -> list[Figure]:
    """Measures e2e_* at light load, after quiet and at half of the peak, the peak itself, and memory_* of each
    service."""
    with run_stack() as stack:
        async with Client(Addresses(**stack.layout.addresses())) as client:
            await _prepare(client)
            light = await _probe_each(client, range(PROBES), PROBE_PAUSE_SECONDS)
            quiet = await _after_quiet(client)
            peak = await _peak(client)
            load = asyncio.create_task(_load(client, peak / 2))
            await asyncio.sleep(1.0)
            half = await _probe_each(client, range(PROBES, 2 * PROBES), PROBE_PAUSE_SECONDS)
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load
            memory = [
                Figure(f"memory_{process.name}", (_resident_mib(process.child.process.pid),), "MiB")
                for process in stack.processes
                if process.child is not None
            ]
    return [
        Figure("e2e_peak", (peak,), "conversions/s", note=f"{LEVELS} levels, {PEAK_ORDERS} orders, until settled"),
        *_latencies("light", light),
        *_latencies("after_quiet", quiet, goal="p99 ≤ 1.5 × light"),
        *_latencies("half_peak", half),
        *memory,
    ]


@contextmanager
def run_stack(with_redirect: bool = False) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="upline-bench-"))
    state = StateDirectory(folder)
    layout = replace(ephemeral_layout(ExternalServers()), with_redirect=with_redirect)
    stack = Stack(state, layout, lambda _: None)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        state.close()
        shutil.rmtree(folder, ignore_errors=True)


def _latencies(label: str, samples: Sequence[tuple[float, float]], goal: str = "") -> list[Figure]:
    figures = []
    for index, end in enumerate(("wallet", "inbox")):
        taken = [sample[index] * 1000 for sample in samples]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value = percentile(taken, share)
            figures.append(Figure(f"e2e_{end}_{label}_{name}", (value,), "ms", goal, note=f"{len(taken)} orders"))
    return figures


async def _prepare(client: Client) -> None:
    policy = program_pb2.AttributionPolicy(
        touch=program_pb2.TOUCH_LAST, binding=program_pb2.BINDING_LIFETIME, bindable=program_pb2.BINDABLE_UNBOUND
    )
    policy.window.FromSeconds(86_400)
    program = program_pb2.Program(program_id=PROGRAM, currency_code="USD", policy=policy)
    await client.programs.CreateProgram(
        program_pb2.CreateProgramRequest(request_id=uuid4().hex, program=program), timeout=30
    )
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=LEVELS)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["5", "2", "1"])),
    )
    plan = plan_pb2.Plan(assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)], rules=[rule])
    await client.plans.PublishPlan(
        plan_pb2.PublishPlanRequest(request_id=uuid4().hex, program_id=PROGRAM, plan=plan, currency_code="USD"),
        timeout=30,
    )
    chance = random.Random(1)
    people = [
        participant_pb2.ParticipantDraft(participant_id=f"p{n}", sponsor_id=f"p{chance.randrange(n)}" if n else "")
        for n in range(TREE)
    ]
    for probe in range(
        2 * PROBES + QUIET_ROUNDS * QUIET_PROBES
    ):  # each probe has a sponsor of its own, whose wallet and inbox nobody else touches
        people.append(participant_pb2.ParticipantDraft(participant_id=f"sponsor-{probe}"))
        people.append(participant_pb2.ParticipantDraft(participant_id=f"buyer-{probe}", sponsor_id=f"sponsor-{probe}"))
    for start in range(0, len(people), 1_000):
        await client.participants.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=uuid4().hex, program_id=PROGRAM, participants=people[start : start + 1_000]
            ),
            timeout=60,
        )


async def _probe_each(client: Client, numbers: Iterable[int], pause_seconds: float) -> list[tuple[float, float]]:
    """Seconds from the call until the sponsor's wallet shows the reward, and until their watched inbox tells it."""
    return [await _probe_once(client, number, pause_seconds) for number in numbers]


async def _after_quiet(client: Client) -> list[tuple[float, float]]:
    """Seconds until wallet and inbox tell of an order, for the first orders after nothing has happened for a while."""
    samples = []
    for first in range(2 * PROBES, 2 * PROBES + QUIET_ROUNDS * QUIET_PROBES, QUIET_PROBES):
        await asyncio.sleep(QUIET_SECONDS)
        samples += await _probe_each(client, range(first, first + QUIET_PROBES), AFTER_QUIET_PAUSE_SECONDS)
    return samples


async def _probe_once(client: Client, number: int, pause_seconds: float) -> tuple[float, float]:
    sponsor = f"sponsor-{number}"
    watch = client.inbox.WatchInbox(notify_pb2.WatchInboxRequest(program_id=PROGRAM, participant_id=sponsor))
    await watch.read()  # says that the watch has begun
    began = time.perf_counter()

    async def until_told() -> float:
        await watch.read()
        return time.perf_counter() - began

    async def until_paid() -> float:
        request = wallet_pb2.GetWalletRequest(program_id=PROGRAM, participant_id=sponsor)
        while not (await client.wallets.GetWallet(request, timeout=30)).balances[0].available_minor:
            await asyncio.sleep(WALLET_POLL_SECONDS)
        return time.perf_counter() - began

    told = asyncio.create_task(until_told())
    await client.conversions.RecordConversion(
        conversion_pb2.RecordConversionRequest(program_id=PROGRAM, conversion=order_of(f"buyer-{number}")), timeout=30
    )
    paid_seconds = await asyncio.wait_for(until_paid(), DEADLINE_SECONDS)
    told_seconds = await asyncio.wait_for(told, DEADLINE_SECONDS)
    watch.cancel()
    await asyncio.sleep(pause_seconds)
    return paid_seconds, told_seconds


def order_of(buyer: str) -> conversion_pb2.ConversionDraft:
    return conversion_pb2.ConversionDraft(
        conversion_id=uuid4().hex,
        event_type="order",
        amount=money_pb2.Money(currency_code="USD", amount_minor=10_000),
        buyer_id=buyer,
    )


async def _record_batch(client: Client, chance: random.Random) -> None:
    orders = [order_of(f"p{chance.randrange(TREE)}") for _ in range(BATCH)]
    await client.conversions.RecordConversions(
        conversion_pb2.RecordConversionsRequest(program_id=PROGRAM, conversions=orders), timeout=60
    )


async def _count_settled(client: Client) -> int:
    request = reward_pb2.GetProgramTotalsRequest(program_id=PROGRAM)
    count: int = (await client.rewards.GetProgramTotals(request, timeout=60)).conversion_count
    return count


async def _peak(client: Client) -> float:
    """Conversions a second from the first call until the last one is settled, with four batches in flight."""
    chance = random.Random(2)
    wanted = await _count_settled(client) + PEAK_ORDERS
    began = time.perf_counter()
    left = PEAK_ORDERS // BATCH

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await _record_batch(client, chance)

    await asyncio.gather(*(worker() for _ in range(4)))
    while await _count_settled(client) < wanted:
        await asyncio.sleep(0.05)
    return PEAK_ORDERS / (time.perf_counter() - began)


async def _load(client: Client, per_second: float) -> None:
    """Records batches at an even pace until cancelled."""
    chance = random.Random(3)
    pause = BATCH / per_second
    due = time.perf_counter()
    while True:
        due += pause
        await _record_batch(client, chance)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")
