"""Work that is told to stop stops, whatever the libraries under it do with a cancellation."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from pydantic import SecretStr

from chassis import tasks
from chassis.readiness import Probe
from chassis.server import Server
from chassis.settings import ServiceSettings
from chassis.tasks import run_all

PATIENCE_SECONDS = 15.0


async def _sleep_for_ever() -> None:
    await asyncio.Event().wait()


async def _lose_one_cancellation(ended: list[str]) -> None:
    try:
        await _sleep_for_ever()
    except asyncio.CancelledError:
        ended.append("lost")
    await _sleep_for_ever()


async def _fail() -> None:
    raise ValueError("cannot go on")


async def _end_within(work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await work()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_SECONDS", 0.01)


async def test_a_lost_cancellation_is_repeated() -> None:
    lost: list[str] = []
    work = asyncio.create_task(run_all(_lose_one_cancellation(lost), _sleep_for_ever()))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end_within(lambda: work)
    assert lost == ["lost"]


async def test_a_failure_ends_the_others_and_is_told() -> None:
    lost: list[str] = []
    with pytest.raises(ValueError, match="cannot go on"):
        await _end_within(lambda: run_all(_lose_one_cancellation(lost), _fail()))
    assert lost == ["lost"]


async def test_groups_within_groups_stop() -> None:
    lost: list[str] = []
    work = asyncio.create_task(run_all(run_all(_lose_one_cancellation(lost)), _sleep_for_ever()))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end_within(lambda: work)
    assert lost == ["lost"]


@pytest.mark.parametrize("gap", range(6))
async def test_a_relay_that_is_woken_and_stopped_at_once_stops(gap: int) -> None:
    """`asyncio.wait_for` gets it wrong before Python 3.12, at some distances between the two."""
    wake = asyncio.Event()

    async def relay() -> None:
        while True:
            try:
                await asyncio.wait_for(wake.wait(), PATIENCE_SECONDS)
            finally:
                wake.clear()

    work = asyncio.create_task(run_all(relay()))
    await asyncio.sleep(0.01)
    wake.set()
    for _ in range(gap):
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end_within(lambda: work)


@pytest.mark.parametrize("which", ["database", "broker"])
async def test_a_server_whose_probe_loses_a_cancellation_stops(which: str) -> None:
    lost: list[str] = []

    async def well() -> None:
        return

    async def answered_as_it_was_cancelled() -> None:
        if not lost:
            with suppress(asyncio.CancelledError):
                await _sleep_for_ever()
            lost.append("lost")

    database, broker = (
        Probe(name, answered_as_it_was_cancelled if name == which else well) for name in ("database", "broker")
    )
    settings = ServiceSettings(
        database_url="postgresql://nobody@127.0.0.1:1/none", nats_url="", secret=SecretStr("s" * 32)
    )
    server = Server(settings, [database], broker)
    work = asyncio.create_task(run_all(server.run(), _sleep_for_ever()))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end_within(lambda: work)
    assert lost == ["lost"]
