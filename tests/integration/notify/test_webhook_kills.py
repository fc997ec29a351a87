"""A process that dies while it sends: what it had in hand is sent by another one, under the same name."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from aiohttp import web
from upline.notify.v1 import webhook_pb2

from services.notify.commands.sending import ENDPOINT_SENDS
from services.notify.store import lanes
from tests.conftest import SECRET, Servers
from tests.integration.notify.conftest import Publish, earning, reward_event
from tests.integration.notify.receiver import Hooks, Receiver, Taken, receiving
from tests.integration.notify.test_webhooks import hurry
from tests.running import Running

DELIVERED = webhook_pb2.DELIVERY_STATE_DELIVERED
ROUNDS = int(os.environ.get("ROUNDS", "2"))
"""How often a process dies: seldom in the suite, for each takes seconds to start."""
SEED = int(os.environ.get("SEED", "1"))
PLANTED = "planted-in-the-address"
START_SECONDS = 120.0
"""The time in which a process starts, on a machine that is busy."""
ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def process(servers: Servers, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of notify, which is killed at the end."""
    settings = servers.telling()
    environment = os.environ | {
        "UPLINE_DATABASE_URL": settings.database_url,
        "UPLINE_NATS_URL": settings.nats_url,
        "UPLINE_NATS_MONITOR_URL": settings.nats_monitor_url,
        "UPLINE_SECRET": SECRET,
        "UPLINE_WEBHOOK_ALLOW_LOOPBACK": "true",
        "UPLINE_LOG_LEVEL": "debug",
    }
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notify", cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGKILL)
        await child.wait()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that takes webhooks."""
    async with receiving() as one:
        yield one


async def test_what_a_process_had_in_hand_when_it_died_is_sent_again_under_the_same_name(
    notify: Running,
    receiver: Receiver,
    publish: Publish,
    servers: Servers,
    new_program_id: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    hooks = Hooks(notify, new_program_id("killed"))
    log = tmp_path / "notify.log"
    created = await hooks.create(f"{receiver.url}?token={PLANTED}")
    hurry(notify)
    claim = lanes.claim

    async def claim_nothing(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(lanes, "claim", claim_nothing)  # the process to be killed has all the work
    never = asyncio.Event()

    async def hang(_: Taken) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    receiver.answer = hang
    people = [f"p-{number}" for number in range(5)]
    async with process(servers, log) as child:
        for number in range(2):
            await publish(
                reward_event(hooks.program_id, [earning(each, 1, 5) for each in people], event_id=f"e-{number}")
            )
        in_hand = {each.id for each in await receiver.when_taken(5, START_SECONDS)}
        child.send_signal(signal.SIGKILL)
    assert len(in_hand) == len(receiver.taken) == 5, "one of each person"
    written_down = log.read_text()
    assert "serving" in written_down
    assert not [secret for secret in (created.secret[6:], PLANTED, SECRET) if secret in written_down]
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        leases = await conn.execute(
            "SELECT min(due_time - now()) > interval '20 seconds' FROM notify.delivery_lane"
            " WHERE endpoint_id IN (SELECT webhook_id FROM notify.webhook WHERE program_id = %s)",
            (hooks.program_id,),
        )
        assert await leases.fetchone() == (True,), "nobody else sends it as long as the lease is"
        await conn.execute("UPDATE notify.delivery_lane SET due_time = now()")
    receiver.answer = None
    monkeypatch.setattr(lanes, "claim", claim)
    written = await hooks.when_in(DELIVERED, 10)
    assert in_hand == {each.message_id for each in written if each.attempt_count == 2}
    for taken in receiver.taken:
        taken.verify(created.secret)
    names = [each.id for each in receiver.taken[5:]]
    assert len(set(names)) == len(names) == 10
    for person in people:
        sent = [each.id for each in receiver.taken[5:] if each.data["participant_id"] == person]
        assert sent == [each.message_id for each in reversed(written) if each.participant_id == person]
    died = next(each for each in written if each.message_id in in_hand)
    first, second = (await hooks.history(died.delivery_id)).attempts
    assert not first.HasField("duration"), "nobody knows how it ended"
    assert second.http_status == 204


async def test_nothing_is_lost_and_nothing_sent_twice_that_was_noted_whenever_a_process_dies(
    notify: Running,
    receiver: Receiver,
    publish: Publish,
    servers: Servers,
    new_program_id: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    rng = random.Random(SEED)
    hooks = Hooks(notify, new_program_id("dying"))
    created = await hooks.create(receiver.url)
    hurry(notify)
    claim = lanes.claim

    async def claim_nothing(*_: object) -> list[object]:
        return []

    accepted: Counter[str] = Counter()

    async def flap(taken: Taken) -> web.StreamResponse:
        await asyncio.sleep(rng.uniform(0, 0.05))
        if rng.random() < 0.2:
            return web.Response(status=503)
        accepted[taken.id] += 1
        return web.Response(status=204)

    receiver.answer = flap
    people = [f"p-{number}" for number in range(20)]
    monkeypatch.setattr(lanes, "claim", claim_nothing)
    for number in range(ROUNDS):
        before = len(receiver.taken)
        async with process(servers, tmp_path / f"{number}.log"):
            for part in range(3):
                earnings = [earning(each, 1, 5) for each in people]
                await publish(reward_event(hooks.program_id, earnings, event_id=f"e-{number}-{part}"))
            await receiver.when_taken(before + rng.randint(1, 15), START_SECONDS)
        # What it had in hand is anybody's at once, rather than after a minute; so is what is due later.
        async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
            await conn.execute("UPDATE notify.delivery_lane SET due_time = now()")
            await conn.execute("UPDATE notify.webhook SET rest_until = NULL")
    monkeypatch.setattr(lanes, "claim", claim)
    written = await hooks.when_in(DELIVERED, ROUNDS * 60, START_SECONDS * ROUNDS)
    assert len(written) == ROUNDS * 60
    for taken in receiver.taken:
        taken.verify(created.secret)
    deaths = 0
    for each in written:
        attempts = (await hooks.history(each.delivery_id)).attempts
        unknown = sum(1 for attempt in attempts if not attempt.HasField("duration"))
        assert 1 <= accepted[each.message_id] <= 1 + unknown, "twice only where nobody knows how an attempt ended"
        deaths += unknown
    assert deaths <= ROUNDS * ENDPOINT_SENDS, "one that died had no more in hand than it may"
