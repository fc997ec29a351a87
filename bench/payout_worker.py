"""One payout worker: makes its batches, waits for the word, settles them, prints when it began and ended."""

import json
import os
import sys
import time
from contextlib import AsyncExitStack

import uvloop

from bench.events import batch
from chassis.clock import SystemClock
from chassis.database import Database, psycopg_connection
from chassis.heap import freeze_heap
from chassis.relay import Relay
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.topology import REWARDS
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import TRANSACTIONS_AT_ONCE
from services.rewards.consumer import ConversionEvents
from services.rewards.store.plans import PlanCache


async def main(label: str, count: int, core: int | None) -> None:
    """Settles `count` batches named after `label`, on one `core` with its sessions in the database if it is given."""
    settings = ServiceSettings()
    database = Database(settings.database_url, "rewards")
    stream = await Stream.connect(settings.nats_url, "bench-worker")
    deps = Deps(database, SystemClock(), Relay(database, stream, [REWARDS]), PlanCache())
    payloads = [batch(f"{label}-{part}").SerializeToString() for part in range(count)]
    await ConversionEvents(deps).handle([batch(f"{label}-warm", count=5).SerializeToString()])
    freeze_heap()
    if core is not None:
        await _stay_on(core, database)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    await ConversionEvents(deps).handle(payloads)
    print(json.dumps([began, time.monotonic()]), flush=True)
    await stream.close()
    await database.close()


async def _stay_on(core: int, database: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(TRANSACTIONS_AT_ONCE):  # all that it will use, at once; the pool keeps them
            conn = await stack.enter_async_context(database.transaction())
            os.sched_setaffinity((await psycopg_connection(conn)).info.backend_pid, {core})
    os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
