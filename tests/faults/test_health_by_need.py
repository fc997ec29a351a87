"""Each service is SERVING while it has what it needs: without a broker, only what needs one is away."""

from functools import partial
from pathlib import Path

import grpc
from upline.attribution.v1 import click_pb2

from chassis.clock import ManualClock
from chassis.embedded.nats import Nats
from services.attribution.__main__ import AttributionService
from tests.faults.apart import Apart, apart, health
from tests.flow import becomes
from tests.running import running

CLICK_SERVICE = click_pb2.DESCRIPTOR.services_by_name["ClickService"].full_name
WITHOUT_BROKER = [
    "",
    *(f"upline.attribution.v1.{name}Service" for name in ("Conversion", "Link", "Participant", "Program")),
]


async def said(everything: Apart) -> dict[str, set[str]]:
    """Names by what attribution, rewards and notify say of them."""
    answers: dict[str, set[str]] = {}
    for name in (*WITHOUT_BROKER, CLICK_SERVICE, "broker"):
        answers.setdefault(await health(everything.attributions[0], name), set()).add(name)
    for label, service in (("rewards", everything.rewards), ("notify", everything.notify)):
        for name in ("", "broker"):
            answers.setdefault(await health(service, name), set()).add(f"{label} {name}")
    return answers


ALL = {*WITHOUT_BROKER, CLICK_SERVICE, "broker", "rewards ", "rewards broker", "notify ", "notify broker"}
AWAY = {CLICK_SERVICE, "broker", "rewards broker", "notify broker"}


async def test_without_a_broker_only_what_needs_it_is_away(tmp_path: Path, clock: ManualClock) -> None:
    async with apart(tmp_path, clock) as everything:
        await becomes(partial(said, everything), {"SERVING": ALL})
        everything.servers.nats.kill()
        await becomes(partial(said, everything), {"SERVING": ALL - AWAY, "NOT_SERVING": AWAY})
        await everything.world.record([everything.world.order("meanwhile", "vera", 10_000)])
        assert await everything.world.wallet("maria") == {"USD": (0, 0)}
        everything.servers.nats.start()
        await becomes(partial(said, everything), {"SERVING": ALL})
        await everything.world.drained()
        assert await everything.world.wallet("maria") == {"USD": (0, 500)}


async def test_a_process_that_starts_without_a_broker_does_what_needs_none(tmp_path: Path, clock: ManualClock) -> None:
    async with apart(tmp_path, clock) as everything:
        everything.servers.nats.kill()
        async with running(AttributionService(everything.servers.settings("attribution"), clock)) as late:
            answers = {name: await health(late, name) for name in (*WITHOUT_BROKER, CLICK_SERVICE)}
            assert answers == dict.fromkeys(WITHOUT_BROKER, "SERVING") | {CLICK_SERVICE: "NOT_SERVING"}
            assert await everything.click(late) == grpc.StatusCode.UNAVAILABLE
            broker: Nats = everything.servers.nats
            broker.start()
            await becomes(partial(health, late, CLICK_SERVICE), "SERVING")
            assert await everything.click(late) == grpc.StatusCode.OK
