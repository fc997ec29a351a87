"""A dozen short rounds of faults on one stack: whatever was acknowledged is exactly what is paid and told.

The long version, with full disks and all clocks, is `make faults`.
"""

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cli.stack import supervisor
from tests.faults.injections import SHORT_KINDS
from tests.faults.program import Holds
from tests.faults.rounds import Pace, play, reconciled
from tests.faults.sites import NATS, POSTGRESQL, Able, Site, site
from tests.flow import DRAIN_SECONDS, becomes

PACE = Pace(SHORT_KINDS, warm_seconds=0.3, spread_seconds=0.5, holds=Holds(1, 1), reconciles=False)
SEEDS = range(1, 13)
TRIES = 8
"""More than a person would wait for."""


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A stack of these tests' own, spoilt in such ways as anybody can."""
    folder = tmp_path_factory.mktemp("rounds")
    folder.chmod(0o755)
    async with site(folder / "state", able=Able(disks=False, database_clock="")) as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_acknowledged_is_what_is_paid_and_told(stack: Site, seed: int) -> None:
    outcome = await play(stack, seed, pace=PACE)
    assert outcome.injections
    assert outcome.wrong == []
    assert outcome.figures["conversions_acknowledged"] > 0


async def test_services_agree_on_all_of_it(stack: Site) -> None:
    await reconciled(stack.flow)


async def test_a_database_that_does_not_come_up_takes_nothing_with_it(
    stack: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose disk is full for long: it is tried again and again, and comes back by itself once it can."""
    monkeypatch.setattr(supervisor, "SERVER_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0.1)
    needed = stack.state / "postgres" / "global" / "pg_control"
    away = needed.with_name("away")
    others = {name: stack.pids(name)[0] for name in [NATS, *stack.processes]}

    async def failed_often() -> bool:
        return (stack.state / "supervisor.log").read_text().count("PostgreSQL cannot be started again") >= TRIES

    needed.rename(away)
    stack.signal(POSTGRESQL, signal.SIGKILL, all_of_it=False)
    await becomes(failed_often, True, DRAIN_SECONDS)
    assert {name: stack.pids(name)[0] for name in others} == others
    away.rename(needed)
    assert await stack.well() == ""
