"""Recording conversions must not cost more in a large tree than in a small one."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import uuid4

import grpc
import psycopg
from upline.attribution.v1 import conversion_pb2, conversion_pb2_grpc, program_pb2, program_pb2_grpc
from upline.type.v1 import money_pb2

from bench.child import serving
from bench.figures import Figure, interleaved, ratios
from bench.servers import Servers

SMALL = 10_000
LARGE = 1_000_000
BATCH = 500
BATCHES = 8
ROUNDS = 5
PATH_LEVELS = 64
"""The number of ancestors that a row of the engine holds."""
PROGRAM = "bench"
_COPY = """
    COPY participant (participant_key, program_id, participant_id, attributes, sponsor_key, upline, bind_time,
        bind_source, bind_link_id, bind_code, bind_channel, bind_campaign, create_time) FROM STDIN
"""


async def measure(servers: Servers) -> list[Figure]:
    """Measures upline_cost_1m_vs_10k_participants: seconds for the same batches of conversions in either tree."""
    with ExitStack() as stack:
        sides = [prepare_tree(servers, stack, size) for size in (SMALL, LARGE)]
        small, large = await interleaved(ROUNDS, *[await side for side in sides])
    rate = tuple(BATCH * BATCHES / seconds for seconds in large)
    return [
        Figure("upline_cost_1m_vs_10k_participants", ratios(large, small), "ratio", "≤ 1.5"),
        Figure("record_conversions_1m_participants", rate, "conversions/s"),
    ]


async def prepare_tree(servers: Servers, stack: ExitStack, size: int) -> Callable[[int], Awaitable[float]]:
    url = servers.database(f"tree_{size}")
    port = stack.enter_context(serving("bench.intake_server", servers.environment(url, "attribution")))
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    await asyncio.wait_for(channel.channel_ready(), 30)
    policy = program_pb2.AttributionPolicy(
        touch=program_pb2.TOUCH_LAST, binding=program_pb2.BINDING_LIFETIME, bindable=program_pb2.BINDABLE_UNBOUND
    )
    policy.window.FromSeconds(86_400)
    program = program_pb2.Program(program_id=PROGRAM, currency_code="USD", policy=policy)
    await program_pb2_grpc.ProgramServiceStub(channel).CreateProgram(
        program_pb2.CreateProgramRequest(request_id=uuid4().hex, program=program), timeout=10
    )
    with psycopg.connect(url) as conn:
        conn.execute("SET search_path = attribution")
        with conn.cursor().copy(_COPY.encode()) as out:
            for block in _tree(size):
                out.write(block)
        conn.execute("SELECT setval('participant_key_seq', %s)", [size + 1])
        conn.commit()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE attribution.participant")
    stub = conversion_pb2_grpc.ConversionServiceStub(channel)

    async def record(number: int) -> float:
        chance = random.Random(number)
        requests = [_orders(chance, size) for _ in range(BATCHES)]
        began = time.perf_counter()
        for request in requests:
            answer = await stub.RecordConversions(request, timeout=60)
            if answer.attributed_count < BATCH * 0.9:
                raise RuntimeError(
                    f"only {answer.attributed_count} of {BATCH} were attributed: this is not the path to measure"
                )
        return time.perf_counter() - began

    return record


def _tree(size: int) -> Iterator[str]:
    """A random recursive tree: each sponsor is drawn from those enrolled before; about 2 ln(size) levels deep."""
    chance = random.Random(size)
    now = datetime.now(UTC).isoformat()
    paths: list[tuple[int, ...]] = [()]
    lines = []
    for key in range(1, size + 1):
        sponsor = chance.randrange(max(1, key - 1)) + 1 if key > 1 else 0
        path = (sponsor, *paths[sponsor][: PATH_LEVELS - 1]) if sponsor else ()
        paths.append(path)
        bound = (str(sponsor), now, "3") if sponsor else ("\\N", "\\N", "0")
        array = "{" + ",".join(map(str, path)) + "}"
        lines.append(f"{key}\t{PROGRAM}\tp{key}\t{{}}\t{bound[0]}\t{array}\t{bound[1]}\t{bound[2]}\t\t\t\t\t{now}\n")
        if len(lines) == 10_000:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


def _orders(chance: random.Random, size: int) -> conversion_pb2.RecordConversionsRequest:
    return conversion_pb2.RecordConversionsRequest(
        program_id=PROGRAM,
        conversions=[
            conversion_pb2.ConversionDraft(
                conversion_id=uuid4().hex,
                event_type="order",
                amount=money_pb2.Money(currency_code="USD", amount_minor=chance.randrange(100, 100_000)),
                buyer_id=f"p{chance.randrange(2, size + 1)}",
            )
            for _ in range(BATCH)
        ],
    )
