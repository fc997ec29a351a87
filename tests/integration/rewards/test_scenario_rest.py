"""A scenario goes on when what takes long to decide is settled, too."""

import asyncio
from pathlib import Path

import pytest

from chassis.file_clock import ClockFile
from cli.scenario.rest import StackRest, watch_rest
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, three_levels
from tests.integration.rewards.test_deferred import Waiting, drain, waiting

__all__ = ["waiting"]

LATER_SECONDS = 0.2
"""Time in which whoever does not wait for it would be done."""


async def test_it_waits_for_what_waits_in_the_database(
    ledger: Ledger,
    published: Published,
    waiting: Waiting,
    servers: Servers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def is_so(*_: object) -> bool:
        return True

    async def settle_later() -> None:
        await asyncio.sleep(LATER_SECONDS)
        await drain(waiting.worker)

    for stage in ("_has_consumed_all", "_all_is_published"):
        monkeypatch.setattr(StackRest, stage, is_so)
    program = await published(three_levels())
    await waiting.put(program, "o1", "o2")
    async with watch_rest(servers.postgres.url, servers.nats.url, ClockFile(tmp_path / "clock", NOON)) as rest:
        later = asyncio.create_task(settle_later())
        await rest.until_settled()
        assert await ledger.available(program, "maria") == [100]
        await later
