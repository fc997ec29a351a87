"""kill -9 on one process of a running `upline up`, and waiting until the stack has it back."""

import asyncio
import json
import os
import random
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cli.stack.health import health
from tests.e2e.stacks import Up, alive

COMPONENTS = ("attribution", "rewards", "notify", "nats", "postgres")
BACK_SECONDS = 60.0
POLL_SECONDS = 0.05
_WORDS = {
    "attribution": "services.attribution ",
    "rewards": "services.rewards",
    "notify": "services.notify",
    "nats": "nats-server",
    "postgres": "bin/postgres",
}


class NeverCameBackError(AssertionError):
    """The stack did not start what was killed."""


@dataclass(frozen=True)
class Killer:
    """Knows the processes of one stack."""

    up: Up
    published: dict[str, Any]
    """Where everything answers; the same after a restart."""

    def pids(self, component: str) -> list[int]:
        """The processes of a component; several where the stack has several workers."""
        return sorted(pid for pid, command in self.up.children().items() if _WORDS[component] in command)

    async def kill(self, component: str, rng: random.Random) -> float:
        """Kills one process of the component; returns after how many seconds all of the component answered again."""
        before = self.pids(component)
        victim = rng.choice(before)
        loop = asyncio.get_running_loop()
        began = loop.time()
        os.kill(victim, signal.SIGKILL)
        await self._until(lambda: not alive(victim), f"{component} to die")
        await self._until(lambda: len(self.pids(component)) == len(before), f"{component} to be started again")
        await self._until(lambda: self._answers(component), f"{component} to answer")
        return loop.time() - began

    async def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + BACK_SECONDS
        while not await asyncio.to_thread(done):
            if self.up.process.poll() is not None:
                raise NeverCameBackError(f"the stack ended:\n{self.up.log.read_text()[-3000:]}")
            if asyncio.get_running_loop().time() > deadline:
                raise NeverCameBackError(
                    f"waited {BACK_SECONDS} seconds for {what}:\n{self.up.log.read_text()[-3000:]}"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _answers(self, component: str) -> bool:
        if component in self.published["services"]:
            return health(self.published["services"][component]) == "SERVING"
        monitor_port = urlsplit(self.published["nats_monitor_url"]).port
        port = self.published["postgres_port"] if component == "postgres" else monitor_port
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True


def postgres_url(up: Up) -> str:
    """Where the owner of the stack's database connects."""
    password = json.loads((up.state / "secrets.json").read_text())["database_password"]
    return f"postgresql://upline:{password}@127.0.0.1:{up.published['postgres_port']}/upline"


def nats_url(up: Up) -> str:
    """Where clients of the stack's broker connect."""
    secrets = json.loads((up.state / "secrets.json").read_text())
    listens = next(
        line for line in (up.state / "nats" / "nats.conf").read_text().splitlines() if line.startswith("listen:")
    )
    return f"nats://upline:{secrets['nats_password']}@{listens.removeprefix('listen:').strip()}"
