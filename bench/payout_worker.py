"""One payout worker: makes its batches, waits for the word, settles them, prints when it began and ended."""

import json
import sys
import time

import uvloop

from bench.events import batch
from chassis import process
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.outbox import Relay
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.topology import REWARDS
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import settle
from services.rewards.store.plans import PlanShelf


async def main(label: str, count: int) -> None:
    """Settles `count` batches named after `label`."""
    settings = ServiceSettings()
    database = Database(settings.database_url, "rewards")
    stream = await Stream.connect(settings.nats_url, "bench-worker")
    deps = Deps(database, SystemClock(), Relay(database, stream, REWARDS), PlanShelf())
    payloads = [batch(f"{label}-{part}").SerializeToString() for part in range(count)]
    await settle(deps, [batch(f"{label}-warm", count=5).SerializeToString()])
    process.spare_what_stays()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    await settle(deps, payloads)
    print(json.dumps([began, time.monotonic()]), flush=True)
    await stream.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
