"""The click writer against a raw COPY of the same rows into the same table."""

import time
from datetime import timedelta
from uuid import uuid4

import psycopg
from upline.attribution.v1 import click_pb2

from bench.figures import Figure, interleaved, ratios
from bench.servers import Servers, service_url
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.ids import new_id
from services.attribution.commands.click_writing import renew_partitions
from services.attribution.commands.deps import WriterDeps
from services.attribution.consumer import FETCH_MESSAGES, ClickBatches
from services.attribution.store.partitions import ClickPartitions
from services.attribution.wire.click_rows import encode

ROUNDS = 5
BATCH_CLICKS = 500
MESSAGES = FETCH_MESSAGES
_COLUMNS = "click_id, program_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host, kind"


async def measure(servers: Servers) -> list[Figure]:
    """Measures click_writer_vs_raw_copy: clicks written in a second, against COPY of rows that are packed already."""
    url = servers.database("writer")
    database = Database(service_url(url, "attribution"), "attribution")
    deps = WriterDeps(database, SystemClock(), ClickPartitions(database))
    batches = ClickBatches(deps)
    await renew_partitions(deps, timedelta(days=400))

    async def write(_: int) -> float:
        payloads = _payloads()
        began = time.perf_counter()
        await batches.handle(payloads)
        return MESSAGES * BATCH_CLICKS / (time.perf_counter() - began)

    with psycopg.connect(url) as conn:
        conn.execute("SET search_path = attribution")

        async def copy(_: int) -> float:
            rows = encode(_payloads()).rows
            began = time.perf_counter()
            with conn.cursor().copy(f"COPY click ({_COLUMNS}) FROM STDIN (FORMAT binary)".encode()) as out:
                out.write(rows)
            conn.commit()
            return MESSAGES * BATCH_CLICKS / (time.perf_counter() - began)

        written, copied = await interleaved(ROUNDS, write, copy)
    await database.close()
    return [
        Figure("click_writer_vs_raw_copy", ratios(written, copied), "ratio", "≥ 0.5"),
        Figure("click_writer", tuple(written), "clicks/s"),
    ]


def _payloads() -> list[bytes]:
    """Stream messages as the intake makes them, with ids of now."""
    link_ids = [uuid4().hex[:20] for _ in range(50)]
    return [
        click_pb2.ClickBatch(
            clicks=[
                click_pb2.Click(
                    click_id=new_id().bytes,
                    program_id="bench",
                    link_id=link_ids[number % 50],
                    visitor_id=uuid4().hex,
                    ip_hash=uuid4().bytes,
                    user_agent_hash=uuid4().bytes,
                    referrer_url="social.example",
                )
                for number in range(BATCH_CLICKS)
            ]
        ).SerializeToString()
        for _ in range(MESSAGES)
    ]
