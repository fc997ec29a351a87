"""The worst that a program does: `python -m bench.isolation_load KIND` with the stack's addresses in the
environment. Prints `begun`, goes on until SIGTERM, then prints the number of calls by their ends as JSON."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import uvloop
from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.rewards.v1 import plan_pb2, wallet_pb2
from upline.type.v1 import money_pb2

from bench import worst_plans
from cli.client import Addresses, Client

WORST_PROGRAM = "worst"
AUDITS = 12
AUDITED = ("", WORST_PROGRAM, "innocent")
"""The programs that are audited in full; the empty name stands for all of them."""
BAD_REQUESTS = 20_000
CALLS_IN_FLIGHT = 32
NICE = 10
"""The load shares two cores with what it loads, and stands back for it: on machines of their own, callers would take
nothing from the services."""
RATES = {"costly": 10.0, "many": 10.0, "rewards": 1.0, "lines": 10.0, "bad_requests": 1_000.0, "redirect": 1_000.0}
"""Orders, requests or links a second, as they are offered."""
DEADLINE_SECONDS = 60.0
LINK_CHARS = 18

Work = Callable[[int], Awaitable[str]]
"""Does the work of a number; says how it ended."""


async def main(kind: str) -> None:
    """Works until told to stop."""
    os.nice(NICE)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Client(Addresses(**json.loads(os.environ["BENCH_ADDRESSES"]))) as client:
        work = asyncio.create_task(_KINDS[kind](client, kind))
        print("begun", flush=True)
        began = time.perf_counter()
        await asyncio.wait([work, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
        seconds = time.perf_counter() - began
        await stopping.wait()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    print(json.dumps({"seconds": round(seconds, 1), "did": dict(_DID)}), flush=True)


_DID: Counter[str] = Counter()


async def _at(rate: float, most: int | None, work: Work) -> None:
    """Does work at an even pace, or as fast as it is answered where that is less."""
    slots = asyncio.Semaphore(CALLS_IN_FLIGHT)
    due = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        try:
            _DID[await work(number)] += 1
        except grpc.aio.AioRpcError as error:
            _DID[error.code().name] += 1
        except OSError as error:
            _DID[type(error).__name__] += 1
        finally:
            slots.release()

    for number in range(most) if most else count():
        await slots.acquire()
        due = max(due + 1 / rate, time.perf_counter() - 1.0)  # what could not be offered is not made up for
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _orders(client: Client, kind: str) -> None:
    """Orders of the program with the worst plan: largest ones, from the foot of a tree of 64 levels."""
    run = uuid4().hex
    lines = 500 if kind == "lines" else 1

    async def order(number: int) -> str:
        draft = worst_plans.large_order(f"{run}-{number}", "foot", lines)
        await client.conversions.RecordConversion(
            conversion_pb2.RecordConversionRequest(program_id=WORST_PROGRAM, conversion=draft),
            timeout=DEADLINE_SECONDS,
        )
        return "recorded"

    await _at(RATES[kind], None, order)


async def _audits(client: Client, _kind: str) -> None:
    """Twelve full audits at once, each of them again as soon as it is answered or refused."""

    async def forever(program_id: str) -> None:
        while True:
            try:
                await client.wallets.AuditLedger(
                    wallet_pb2.AuditLedgerRequest(program_id=program_id, full=True), timeout=DEADLINE_SECONDS
                )
                _DID["audited"] += 1
            except grpc.aio.AioRpcError as error:
                _DID[error.code().name] += 1
                await asyncio.sleep(0.1)

    await asyncio.gather(*(forever(AUDITED[number % len(AUDITED)]) for number in range(AUDITS)))


async def _bad_requests(client: Client, kind: str) -> None:
    """Requests that are refused: each of them wrong in another way, in turn."""
    many = [conversion_pb2.ConversionDraft(conversion_id="", buyer_id="b", event_type="?") for _ in range(200)]
    wrong_plan = worst_plans.costly_conditions()
    for rule in wrong_plan.rules:
        rule.when += " +"
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.conversions.RecordConversion(
            conversion_pb2.RecordConversionRequest(program_id=WORST_PROGRAM), timeout=DEADLINE_SECONDS
        ),
        lambda: client.conversions.RecordConversions(
            conversion_pb2.RecordConversionsRequest(program_id=WORST_PROGRAM, conversions=many),
            timeout=DEADLINE_SECONDS,
        ),
        lambda: client.conversions.RecordConversion(
            conversion_pb2.RecordConversionRequest(
                program_id="nobody",
                conversion=conversion_pb2.ConversionDraft(
                    conversion_id="c",
                    buyer_id="b",
                    event_type="order",
                    amount=money_pb2.Money(currency_code="USD", amount_minor=1),
                ),
            ),
            timeout=DEADLINE_SECONDS,
        ),
        lambda: client.participants.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(program_id=WORST_PROGRAM), timeout=DEADLINE_SECONDS
        ),
        lambda: client.wallets.GetWallet(
            wallet_pb2.GetWalletRequest(program_id="nobody", participant_id="b"), timeout=DEADLINE_SECONDS
        ),
        lambda: client.plans.ValidatePlan(
            plan_pb2.ValidatePlanRequest(plan=wrong_plan, currency_code="USD"), timeout=DEADLINE_SECONDS
        ),
    ]

    async def ask(number: int) -> str:
        await calls[number % len(calls)]()
        return "answered"

    await _at(RATES[kind], BAD_REQUESTS, ask)


async def _redirect(_client: Client, kind: str) -> None:
    """Links that do not exist, each on a connection of its own."""
    address = urlsplit(os.environ["BENCH_REDIRECT"])

    async def visit(number: int) -> str:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            link = f"/r/{WORST_PROGRAM}/{uuid4().hex[:LINK_CHARS]}"
            writer.write(f"GET {link} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            status = (await reader.readline()).split(b" ")[1:2]
            return status[0].decode() if status else "closed"
        finally:
            writer.close()

    await _at(RATES[kind], None, visit)


_KINDS: dict[str, Callable[[Client, str], Coroutine[Any, Any, None]]] = {
    "costly": _orders,
    "many": _orders,
    "rewards": _orders,
    "lines": _orders,
    "audits": _audits,
    "bad_requests": _bad_requests,
    "redirect": _redirect,
}

if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
