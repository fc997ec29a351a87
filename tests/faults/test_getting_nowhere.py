"""A process that works but gets nowhere is noticed within a minute, while its callers are answered as ever."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from prometheus_client import REGISTRY

from chassis import consumer, readiness
from chassis.clock import ManualClock
from chassis.progress import STALLED_SECONDS
from services.rewards.consumer import ConversionEvents
from tests.faults.apart import apart, health
from tests.flow import becomes

NOTICED_SECONDS = 60.0
SERVED = ("", "upline.rewards.v1.PlanService", "upline.rewards.v1.WalletService", "broker")


def test_a_standstill_is_noticed_within_a_minute() -> None:
    # Work is found waiting by one look and said to stand still by a later one; each look may take as long as a probe.
    looks = 2 * readiness.READINESS_SECONDS + readiness.PROBE_SECONDS
    assert STALLED_SECONDS + looks < NOTICED_SECONDS


def stalled_seconds() -> float:
    """How long rewards says that events wait for it of which none is settled."""
    return REGISTRY.get_sample_value("upline_consumer_stalled_seconds", {"consumer": "rewards"}) or 0.0


async def test_settling_that_hangs_is_noticed_and_stops_no_call(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "STALLED_SECONDS", 1.0)
    goes_on = asyncio.Event()
    handle = ConversionEvents.handle

    async def hanging(self: ConversionEvents, payloads: Sequence[bytes]) -> None:
        await goes_on.wait()
        await handle(self, payloads)

    monkeypatch.setattr(ConversionEvents, "handle", hanging)
    log = Mock()
    monkeypatch.setattr(readiness, "log", log)
    async with apart(tmp_path, clock) as everything:
        consuming = partial(health, everything.rewards, "consuming")
        await becomes(consuming, "SERVING")  # nothing waits
        await everything.world.record([everything.world.order("stuck", "vera", 10_000)])
        await becomes(consuming, "NOT_SERVING")
        assert stalled_seconds() > 1.0
        assert [await health(everything.rewards, each) for each in SERVED] == ["SERVING"] * len(SERVED)
        assert await health(everything.notify, "consuming") == "SERVING"
        assert await everything.world.wallet("maria") == {"USD": (0, 0)}  # calls are answered
        goes_on.set()
        await becomes(consuming, "SERVING")
        await everything.world.drained()
        assert await everything.world.wallet("maria") == {"USD": (0, 500)}
        assert stalled_seconds() == 0.0
    told = [str(call.kwargs["error"]) for call in log.warning.call_args_list if call.kwargs["probe"] == "consuming"]
    assert any("none was settled" in each for each in told)


async def test_a_database_that_is_away_is_told_as_such_and_nothing_stands_still_when_it_is_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with apart(tmp_path, clock) as everything:
        consuming = partial(health, everything.rewards, "consuming")
        await becomes(consuming, "SERVING")
        everything.servers.postgres.kill()
        await becomes(partial(health, everything.rewards, ""), "NOT_SERVING")
        assert await consuming() == "NOT_SERVING"
        everything.servers.postgres.start()
        await becomes(consuming, "SERVING")
