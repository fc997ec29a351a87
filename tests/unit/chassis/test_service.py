"""A service that stops closes everything that it opened, whatever fails on the way."""

import asyncio
import os
import signal

import pytest
from pydantic import SecretStr

from chassis.clock import SystemClock
from chassis.process import serve
from chassis.service import Service
from chassis.settings import ServiceSettings

SETTINGS = ServiceSettings(
    database_url="postgresql://nowhere/none", nats_url="nats://nowhere", secret=SecretStr("0123456789abcdef" * 2)
)


class Brittle(Service[ServiceSettings]):
    """A service without servers, of which one step fails."""

    name = "brittle"

    def __init__(self, failing: str) -> None:
        super().__init__(SETTINGS, SystemClock())
        self._failing = failing
        self.steps: list[str] = []

    async def compose(self) -> None:
        """Opens two things."""

    async def start(self) -> None:
        """Opens what `stop` has to close."""
        for name in ("database", "intake", "server"):
            self.on_stop(lambda name=name: self._step(name))  # type: ignore[misc]

    async def run(self) -> None:
        """Works until the process is told to stop."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def leave(self) -> None:
        """Says goodbye."""
        await self._step("leave")

    async def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self._failing:
            raise OSError(name)


@pytest.mark.parametrize("failing", ["leave", "server", "intake", "database"])
async def test_everything_is_closed_whichever_step_fails(failing: str) -> None:
    service = Brittle(failing)

    with pytest.raises(OSError, match=failing):
        await serve(service)

    assert service.steps == ["leave", "server", "intake", "database"]
