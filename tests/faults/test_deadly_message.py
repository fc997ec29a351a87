"""A message that takes the process with it, before anything could be counted, is set aside as well."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import psycopg

from chassis.consumer import MAX_UNANSWERED, Consumer
from chassis.dead_letters import DeadLetters
from chassis.migrate import migrate
from chassis.stream import Message, Stream
from chassis.topology import CONVERSIONS, REWARDS, StreamSpec
from tests.conftest import ROLE_PASSWORD, SECRET, SERVICES, Servers
from tests.faults.dying import DEADLY
from tests.flow import becomes
from tests.integration.rewards.conftest import message, recorded
from tests.running import Running
from tests.spare import spare_servers

ORDERS = 10
PROGRAM = "deadly"
SPEC = StreamSpec("STOPPED_TEST", "stopped.test", ("stopped_test",), 10 * 1024 * 1024)
SECONDS = 300.0
"""Long enough for a slow machine to start a service six times."""


class Restarted:
    """A process that is started again whenever it has died."""

    def __init__(self, servers: Servers) -> None:
        settings = servers.settings("rewards")
        self._environment = {
            **os.environ,
            "UPLINE_DATABASE_URL": settings.database_url,
            "UPLINE_NATS_URL": settings.nats_url,
            "UPLINE_SECRET": SECRET,
        }
        self.deaths = 0
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Starts it, again and again, until cancelled."""
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.faults.dying", env=self._environment
                )
                assert await self._process.wait() == -9
                self.deaths += 1
        finally:
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                await self._process.wait()


async def test_a_message_that_kills_is_set_aside_and_the_others_are_settled(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # servers under another user must get through
    with spare_servers(tmp_path) as servers:
        await asyncio.to_thread(migrate, servers.postgres.url, SERVICES, ROLE_PASSWORD)
        stream = await Stream.connect(servers.nats.url, "deadly", specs=[CONVERSIONS, REWARDS])

        async def publish(name: str, payload: bytes) -> None:
            await stream.publish(Message(CONVERSIONS.subject, name, "test", payload))

        async def told(question: bytes) -> list[tuple[object, ...]]:
            async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
                return await (await conn.execute(question)).fetchall()

        async def settled() -> int:
            return len(await told(b"SELECT 1 FROM rewards.conversion"))

        async def parked() -> list[tuple[object, ...]]:
            return await told(b"SELECT message_id, attempts FROM rewards.dead_letter WHERE park_time IS NOT NULL")

        # It stands in the midst of others, which were taken together with it.
        for number in range(ORDERS):
            name = f"order-{number}"
            deadly = DEADLY.decode() if number == ORDERS // 2 else ""
            await publish(name, message(recorded(PROGRAM, f"{name}{deadly}", 1_000)))
        service = Restarted(servers)
        work = asyncio.create_task(service.run())
        try:
            await becomes(parked, [(f"order-{ORDERS // 2}", MAX_UNANSWERED + 1)], SECONDS)
            assert service.deaths == MAX_UNANSWERED
            await publish("later", message(recorded(PROGRAM, "later", 1_000)))
            await becomes(settled, ORDERS, SECONDS)
            assert service.deaths == MAX_UNANSWERED
            ((error,),) = await told(b"SELECT error FROM rewards.dead_letter WHERE park_time IS NOT NULL")
            assert "the process died" in str(error)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await stream.close()


async def test_a_message_that_is_in_hand_at_every_stop_is_not_to_blame(rewards: Running, broker: Stream) -> None:
    await broker.ensure(SPEC)
    await broker.publish(Message(SPEC.subject, "patient", "test", b"patient"))
    letters = DeadLetters(rewards.service.database)
    entered, ended = asyncio.Event(), asyncio.Event()
    handled: list[bytes] = []

    async def handle(payloads: object) -> None:
        entered.set()
        await ended.wait()
        handled.extend(payloads)  # type: ignore[call-overload]

    for _ in range(MAX_UNANSWERED + 3):
        work = asyncio.create_task(Consumer(broker, SPEC, "stopped_test", handle, letters).run())
        await asyncio.wait_for(entered.wait(), SECONDS)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        entered.clear()
    ended.set()
    work = asyncio.create_task(Consumer(broker, SPEC, "stopped_test", handle, letters).run())
    await becomes(lambda: asyncio.sleep(0, list(handled)), [b"patient"], SECONDS)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert [each for each in await letters.parked() if each.consumer == "stopped_test"] == []
