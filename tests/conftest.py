"""The suite's own servers: real PostgreSQL and real NATS from wheels, in a directory of their own.

Each process that runs tests starts them once, so whatever lives for a session (servers, services, clock, numbers of
programs) is shared by the tests of one process and no other.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings
from pydantic import SecretStr
from sqlalchemy import make_url

from chassis.clock import ManualClock
from chassis.embedded.nats import Nats
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory, free_port
from chassis.migrate import migrate, role_name
from chassis.settings import ServiceSettings
from services.attribution.settings import LinkSettings, RedirectSettings
from services.notify.settings import NotifySettings
from tests.holding import watch_connections
from tests.running import Running, running

# A slow machine is no failure; and what CI says must be about the change, not about the day's random numbers.
settings.register_profile("suite", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("suite")
watch_connections()
# In the background of a script Ctrl-C is ignored, and everything that the suite starts would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVICES = ["attribution", "rewards", "notify"]
ROLE_PASSWORD = "suite-role-password"
SECRET = "0123456789abcdef0123456789abcdef"
LEFT_OUT = "left_out"
"""The key under which a test process tells what it left out to the one that tells the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out, and counts as deselected, what this machine or user cannot play: see NEEDS."""
    able = {name: can() for name, can in NEEDS.items() if any(_needs(item, name) for item in items)}
    left_out = [item for item in items if any(_needs(item, name) for name, can in able.items() if not can)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        if hasattr(config, "workeroutput"):
            config.workeroutput[LEFT_OUT] = [item.nodeid for item in left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Counts as deselected what test processes left out; each leaves out the same, so the first one is asked."""
    if node.gateway.id == "gw0" and (left_out := getattr(node, "workeroutput", {}).get(LEFT_OUT)):
        node.config.hook.pytest_deselected(items=[SimpleNamespace(nodeid=each) for each in left_out])


def _needs(item: pytest.Item, name: str) -> bool:
    return any(name in marker.args for marker in item.iter_markers("needs"))


def _can_mount() -> bool:
    """A small disk of its own is a mounted file system, which only root may mount, and not everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


NEEDS: dict[str, Callable[[], bool]] = {"mount": _can_mount, "wget": lambda: shutil.which("wget") is not None}
"""Checks of what a test may need beyond what the README asks for, by the name in `pytest.mark.needs`."""


@dataclass(frozen=True)
class Servers:
    """Where the suite's PostgreSQL and NATS answer."""

    postgres: Postgres
    nats: Nats

    def settings(self, service: str) -> ServiceSettings:
        """Settings for one service, on a free port."""
        url = make_url(self.postgres.url).set(username=role_name(service), password=ROLE_PASSWORD)
        return ServiceSettings(
            database_url=url.render_as_string(hide_password=False),
            nats_url=self.nats.url,
            nats_monitor_url=self.nats.monitor_url,
            secret=SecretStr(SECRET),
        )

    def making_links(self, redirect_port: int) -> LinkSettings:
        """Settings for attribution, whose links are followed at that port."""
        return LinkSettings(**self.settings("attribution").model_dump(), public_url=f"http://127.0.0.1:{redirect_port}")

    def leading_on(self, redirect_port: int) -> RedirectSettings:
        """Settings for the redirect on that port."""
        return RedirectSettings(**self.settings("attribution").model_dump(), redirect_port=redirect_port)

    def telling(self) -> NotifySettings:
        """Settings for notify, whose webhooks may be on this machine: no test calls any other."""
        return NotifySettings(**self.settings("notify").model_dump(), webhook_allow_loopback=True)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL and NATS with every service's tables."""
    state = StateDirectory(Path(tmp_path_factory.mktemp("stack")))
    postgres, nats = Postgres(state), Nats(state)
    postgres.start()
    nats.start()
    migrate(postgres.url, SERVICES, ROLE_PASSWORD)
    yield Servers(postgres, nats)
    nats.stop()
    postgres.stop()
    state.close()


@pytest.fixture(scope="session")
def clock() -> ManualClock:
    """The clock of the services under test. Tests that move it restore it."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture(scope="session")
def redirect_port() -> int:
    """Where the links of the suite lead to."""
    return free_port()


@pytest_asyncio.fixture(scope="session")
async def attribution(servers: Servers, clock: ManualClock, redirect_port: int) -> AsyncIterator[Running]:
    """The attribution service, answering."""
    from services.attribution.__main__ import AttributionService

    async with running(AttributionService(servers.making_links(redirect_port), clock)) as service:
        yield service


@pytest_asyncio.fixture(scope="session")
async def redirecting(servers: Servers, clock: ManualClock, redirect_port: int) -> AsyncIterator[Running]:
    """The redirect of links, answering."""
    from services.attribution.redirect_main import RedirectService

    async with running(RedirectService(servers.leading_on(redirect_port), clock)) as service:
        yield service


@pytest_asyncio.fixture(scope="session")
async def rewards(servers: Servers, clock: ManualClock) -> AsyncIterator[Running]:
    """The rewards service, answering."""
    from services.rewards.__main__ import RewardsService

    async with running(RewardsService(servers.settings("rewards"), clock)) as service:
        yield service


@pytest_asyncio.fixture(scope="session")
async def notify(servers: Servers, clock: ManualClock) -> AsyncIterator[Running]:
    """The notify service, answering."""
    from services.notify.__main__ import NotifyService

    async with running(NotifyService(servers.telling(), clock)) as service:
        yield service


@pytest.fixture(scope="session")
def new_program_id() -> Callable[[str], str]:
    """Names programs: tests share the servers, never a program."""
    numbers = count(1)
    return lambda stem: f"{stem}-{next(numbers)}"
