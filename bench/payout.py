"""Payouts of ten levels: against a raw COPY of the same rows, against one tidy ORM transaction an event, and by two
workers against one."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import plan_pb2

from bench import tidy_orm
from bench.events import CONVERSIONS_A_BATCH, batch, ten_levels
from bench.figures import Figure, interleaved, ratios
from bench.servers import Servers, service_url
from chassis import copying
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.heap import freeze_heap
from chassis.idempotency import call_of
from chassis.relay import Relay
from chassis.stream import Stream
from chassis.topology import REWARDS
from services.rewards.commands.deps import Deps
from services.rewards.commands.plans import publish_plan
from services.rewards.consumer import ConversionEvents
from services.rewards.rpc.plans import published_message, read_publication
from services.rewards.store import conversions, ledger
from services.rewards.store.plans import PlanCache

ROUNDS = 7
BATCHES_A_ROUND = 12
"""So many that the part decided before anything can be written does not show, as under load, where a fetch brings up to
64 batches."""
ORM_ROUNDS = 9
ORM_EVENTS = 100
WORKER_BATCHES = 24
WORKER_ROUNDS = 6
PINNED_ROUNDS = 3


async def measure(servers: Servers) -> list[Figure]:
    """Measures payout_vs_raw_copy, payout_vs_tidy_orm_per_event and payout_two_workers_vs_one, the latter also with a
    core for each worker."""
    return [*await _compare_with_copy_and_orm(servers), *await _compare_workers(servers)]


async def rewards_deps(servers: Servers, url: str) -> Deps:
    """The dependencies of the commands of rewards; the relay is not run, so that only the payout is measured."""
    database = Database(service_url(url, "rewards"), "rewards")
    stream = await Stream.connect(servers.nats.url, "bench")
    return Deps(database, SystemClock(), Relay(database, stream, [REWARDS]), PlanCache())


async def publish(deps: Deps, request: plan_pb2.PublishPlanRequest) -> None:
    """Publishes a plan as the RPC does."""
    plan, content, warnings = read_publication(request)
    call = call_of(request, plan_pb2.PublishPlanResponse, partial(published_message, warnings))
    await publish_plan(deps, call, plan, content)


async def _compare_with_copy_and_orm(servers: Servers) -> list[Figure]:
    url, twin_url = servers.database("payout"), servers.database("payout_twin")
    deps = await rewards_deps(servers, url)
    await publish(deps, ten_levels())
    freeze_heap()  # as a service does when it has started
    rows: dict[int, list[tuple[str, str]]] = {}

    async def pay(number: int) -> float:
        payloads = [batch(f"pay-{number}-{part}").SerializeToString() for part in range(BATCHES_A_ROUND)]
        with _CopiedBlocks(rows.setdefault(number, [])):
            began = time.perf_counter()
            await ConversionEvents(deps).handle(payloads)
            return BATCHES_A_ROUND * CONVERSIONS_A_BATCH / (time.perf_counter() - began)

    with psycopg.connect(twin_url) as twin, psycopg.connect(url) as source:
        twin.execute("SET search_path = rewards")
        twin.commit()

        last_outbox_id = 0

        async def copy(number: int) -> float:
            nonlocal last_outbox_id
            blocks = rows.pop(number)
            outbox = source.execute(
                "SELECT outbox_id, subject, message_id, message_type, payload FROM rewards.outbox WHERE outbox_id > %s"
                " ORDER BY outbox_id",
                [last_outbox_id],
            ).fetchall()
            source.commit()
            last_outbox_id = outbox[-1][0]
            began = time.perf_counter()
            for statement, lines in blocks:
                with twin.cursor().copy(statement.encode()) as out:
                    out.write(lines)
                if statement.startswith("COPY balance_delta"):  # the last block of a transaction
                    _copy_outbox(twin, outbox)
                    outbox.clear()
                    twin.commit()
            return BATCHES_A_ROUND * CONVERSIONS_A_BATCH / (time.perf_counter() - began)

        # A round of `copy` writes what the round of `pay` before it wrote, so the order within a round is fixed.
        paid, copied = [], []
        for number in range(ROUNDS + 1):
            pair = await pay(number), await copy(number)
            if number:
                paid.append(pair[0])
                copied.append(pair[1])

        orm = tidy_orm.TidyPayouts(twin_url)

        async def per_event(number: int) -> float:
            events = batch(f"orm-{number}", count=ORM_EVENTS).events
            began = time.perf_counter()
            for event in events:
                orm.settle(event)
            return ORM_EVENTS / (time.perf_counter() - began)

        fast, slow = await interleaved(ORM_ROUNDS, lambda number: pay(100 + number), per_event)
        orm.close()
    await deps.relay.stream.close()
    await deps.database.close()
    return [
        Figure("payout_vs_raw_copy", ratios(paid, copied), "ratio", "≥ 0.4"),
        Figure("payout_ten_levels", tuple(paid), "conversions/s"),
        Figure("payout_vs_tidy_orm_per_event", ratios(fast, slow), "ratio", "≥ 40"),
    ]


def _copy_outbox(twin: psycopg.Connection[tuple[object, ...]], rows: Iterable[tuple[object, ...]]) -> None:
    with twin.cursor().copy("COPY outbox (subject, message_id, message_type, payload) FROM STDIN") as out:
        for row in rows:
            out.write_row(row[1:])


class _CopiedBlocks:
    """Notes every block of rows that the payout copies, so that the same can be copied raw."""

    def __init__(self, blocks: list[tuple[str, str]]) -> None:
        self._blocks = blocks
        self._original = copying.copy_lines

    async def _note(self, conn: AsyncConnection, statement: str, lines: Iterable[str]) -> None:
        block = "".join(lines)
        self._blocks.append((statement, block))
        await self._original(conn, statement, [block])

    def __enter__(self) -> None:
        for store in (ledger, conversions):
            setattr(store, "copy_lines", self._note)  # noqa: B010 - it is not theirs to export

    def __exit__(self, *_: object) -> None:
        for store in (ledger, conversions):
            setattr(store, "copy_lines", self._original)  # noqa: B010


async def _compare_workers(servers: Servers) -> list[Figure]:
    url = servers.database("workers")
    deps = await rewards_deps(servers, url)
    await publish(deps, ten_levels())
    await deps.relay.stream.close()
    await deps.database.close()
    environment = servers.environment(url, "rewards")

    def workers(count: int, *, pinned: bool) -> Callable[[int], Awaitable[float]]:
        return lambda number: _run_workers(environment, number, count, pinned)

    single, double = await interleaved(WORKER_ROUNDS, workers(1, pinned=False), workers(2, pinned=False))
    figures = [Figure("payout_two_workers_vs_one", ratios(double, single), "ratio", "≥ 1.4")]
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        single, double = await interleaved(PINNED_ROUNDS, workers(1, pinned=True), workers(2, pinned=True))
        figures.append(Figure("payout_two_workers_vs_one_a_core_each", ratios(double, single), "ratio"))
    return figures


async def _run_workers(environment: dict[str, str], number: int, worker_count: int, pinned: bool) -> float:
    """Conversions a second of so many processes together, each with its share of the same number of batches.

    `pinned` puts each on a core of its own, which its sessions in the database share with it.
    """
    share = WORKER_BATCHES // worker_count
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.payout_worker",
                f"w{worker_count}{pinned:d}-{number}-{index}",
                str(share),
                *([str(index)] if pinned else []),
            ],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(worker_count)
    ]
    for each in processes:  # each says when its batches are made
        await asyncio.to_thread(each.stdout.readline)  # type: ignore[union-attr]
    for each in processes:
        each.stdin.write("go\n")  # type: ignore[union-attr]
        each.stdin.flush()  # type: ignore[union-attr]
    spans: list[tuple[float, float]] = []
    for each in processes:
        out, _ = await asyncio.to_thread(each.communicate)
        spans.append(json.loads(out))
    return WORKER_BATCHES * CONVERSIONS_A_BATCH / (max(end for _, end in spans) - min(start for start, _ in spans))
