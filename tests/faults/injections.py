"""The faults of a round: drawn from a seed, done, and undone.

A kind of fault says what it may be done to, in which ways, for how long, and what that takes of the machine. Whatever
it spoils it mends before it returns.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import grpc
import nats
from nats.js import JetStreamContext
from upline.attribution.v1 import events_pb2, participant_pb2

from chassis.topology import CLICKS, CONVERSIONS, PEOPLE, REWARDS
from cli.bundle.program import load
from cli.client import Client
from cli.errors import CommandFailed
from cli.programs import apply_bundle
from services.rewards.domain.plan.plan import MAX_LEVEL
from tests.e2e.world import PROGRAMS, World
from tests.faults.proxy import Link, Way
from tests.faults.sites import NATS, POSTGRESQL, SERVERS, Site

MOST_AT_ONCE = 3
POISON = "poison:"
"""The beginning of the names of messages that nobody can handle."""
BROKER_SECONDS = 20.0
PURGES = 10
GONE_SECONDS = 40.0
"""Longer than a service may take to bring calls to their end."""
PLAN_SECONDS = 60.0
DEAR_RULES = 200
DEAR_ORDERS = 5
THEN_RESET, FOR_GOOD = "then reset", "for good"
TORN = b"\xff\xff not an event"


@dataclass(frozen=True)
class Injection:
    """One fault of a round."""

    kind: str
    target: str
    how: str
    after_seconds: float
    """When it begins, counted from the start of the round's load."""
    seconds: float
    """How long it lasts; 0 for what happens at a moment."""

    def told(self) -> dict[str, Any]:
        """For a line of JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    targets: Callable[[Site], list[str]]
    hows: tuple[str, ...]
    lasts: tuple[float, float]
    """The least and the most seconds."""
    do: Callable[[Site, Injection], Awaitable[None]]
    weight: float = 1.0
    """How often it is drawn."""
    able: Callable[[Site], bool] = lambda _site: True


def draw(site: Site, rng: random.Random, kinds: Mapping[str, Kind], spread_seconds: float) -> list[Injection]:
    """One to three faults, the same for the same seed and machine. No two of one round are of one kind and target."""
    possible = {name: kind for name, kind in kinds.items() if kind.able(site)}
    weights = [kind.weight for kind in possible.values()]
    drawn: dict[tuple[str, str], Injection] = {}
    for _ in range(rng.randint(1, MOST_AT_ONCE)):
        (name,) = rng.choices(list(possible), weights)
        kind = possible[name]
        injection = Injection(
            name,
            rng.choice(kind.targets(site)),
            rng.choice(kind.hows),
            round(rng.uniform(0.0, spread_seconds), 2),
            round(rng.uniform(*kind.lasts), 2),
        )
        drawn[name, injection.target] = injection
    lost = {target for name, target in drawn if name in ("lost stream", "lost messages")}
    # Nobody can tell that something is missing while it may still be in a message, and poison is tried for ten minutes.
    return [each for each in drawn.values() if each.kind != "poison event" or each.target not in lost]


async def inject(site: Site, kinds: Mapping[str, Kind], injections: list[Injection]) -> None:
    """Does everything at its time; returns when all of it is over."""

    async def one(injection: Injection) -> None:
        await asyncio.sleep(injection.after_seconds)
        await kinds[injection.kind].do(site, injection)

    async with asyncio.TaskGroup() as group:
        for each in injections:
            group.create_task(one(each))


def _processes(site: Site) -> list[str]:
    return site.processes


def _processes_and_servers(site: Site) -> list[str]:
    return [*site.processes, *SERVERS]


def _servers(_site: Site) -> list[str]:
    return list(SERVERS)


def _links(site: Site) -> list[str]:
    """Each link by itself, and all to a server, as where it lost its network."""
    return [*(f"{near}>{far}" for near, far in site.links), *SERVERS]


def _clocks(site: Site) -> list[str]:
    """The broker's clock cannot be moved: all others are, the other way."""
    return [*site.processes, *([POSTGRESQL, NATS] if site.able.database_clock else [])]


async def _pause(site: Site, injection: Injection) -> None:
    """Stops the whole process tree as one that got no processor, or whose machine was moved."""
    site.signal(injection.target, signal.SIGSTOP, all_of_it=True)
    try:
        await asyncio.sleep(injection.seconds)
    finally:
        site.signal(injection.target, signal.SIGCONT, all_of_it=True)


async def _kill(site: Site, injection: Injection) -> None:
    await _end(site, injection.target, signal.SIGKILL)


async def _restart(site: Site, injection: Injection) -> None:
    """Asks a process to end, as an operator does; the supervisor starts it again."""
    if injection.target != POSTGRESQL:
        await _end(site, injection.target, signal.SIGTERM)
    else:
        await _end(site, injection.target, signal.SIGQUIT if injection.how == "immediate" else signal.SIGINT)


async def _end(site: Site, name: str, number: signal.Signals) -> None:
    """Ends a process by a signal; returns when it is gone, also where it has been started again already."""
    site.forgive()
    before = site.pids(name)[:1]
    site.signal(name, number, all_of_it=False)
    async with asyncio.timeout(GONE_SECONDS):
        while before and site.pids(name)[:1] == before:
            await asyncio.sleep(0.05)


async def _cut(site: Site, injection: Injection) -> None:
    """Ends the connections, again and again or for good while it lasts."""
    links = site.links_of(injection.target)
    ends = asyncio.get_running_loop().time() + injection.seconds
    reset = injection.how != "fin"
    try:
        while True:
            for each in links:
                each.refusing = injection.how == "refused"
                each.cut(reset=reset)
            if (left := ends - asyncio.get_running_loop().time()) <= 0:
                return
            await asyncio.sleep(min(left, 0.7))
    finally:
        for each in links:
            each.refusing = False


async def _slow(site: Site, injection: Injection) -> None:
    links = site.links_of(injection.target)

    def spoil(link: Link) -> None:
        if injection.how == "latency":
            link.delay_seconds = 0.15
        else:
            link.bytes_per_second = 40_000

    await _spoilt(links, spoil, injection.seconds)


async def _half_open(site: Site, injection: Injection) -> None:
    """Loses all that is sent, with no word to anybody. Afterwards the other side has forgotten the connection and says
    so when it is used (`then reset`), or nobody ever says a word on it again."""
    ways, _, then = injection.how.partition(", ")
    swallowed = frozenset(Way) if ways == "both ways" else frozenset([Way(ways)])
    links = site.links_of(injection.target)
    try:
        for each in links:
            each.swallow(swallowed)
        await asyncio.sleep(injection.seconds)
    finally:
        for each in links:
            each.heal(reset_swallowed=then == THEN_RESET)


async def _spoilt(links: list[Link], spoil: Callable[[Link], None], seconds: float) -> None:
    try:
        for each in links:
            spoil(each)
        await asyncio.sleep(seconds)
    finally:
        for each in links:
            each.heal()


async def _full_disk(site: Site, injection: Injection) -> None:
    site.forgive()
    await asyncio.to_thread(site.fill, injection.target)
    try:
        await asyncio.sleep(injection.seconds)
    finally:
        await asyncio.to_thread(site.empty, injection.target)


async def _skew(site: Site, injection: Injection) -> None:
    seconds = float(injection.how)
    names = [*site.processes, POSTGRESQL] if injection.target == NATS else [injection.target]
    moved = -seconds if injection.target == NATS else seconds
    try:
        for each in names:
            site.skew(each, site.skews.get(each, 0.0) + moved)
        await asyncio.sleep(injection.seconds)
    finally:
        for each in names:
            site.skew(each, site.skews[each] - moved)


KEPT_STREAMS = ("CONVERSIONS", "PEOPLE", "REWARDS")
"""The streams whose messages stand in an outbox, too. A click is nowhere else until it is written."""
STREAMS = MappingProxyType({spec.name: spec for spec in (CLICKS, CONVERSIONS, PEOPLE, REWARDS)})
READ_STREAMS = tuple(spec.name for spec in STREAMS.values() if spec.consumers)


async def _poison_event(site: Site, injection: Injection) -> None:
    """Publishes what no service made."""
    spec = STREAMS[injection.target]
    payload = _poison(injection.how)

    async def publish(jetstream: JetStreamContext) -> None:
        for _ in range(3):
            headers = {"Nats-Msg-Id": f"{POISON}{uuid4()}", "ce-type": "upline.faults.Poison"}
            await jetstream.publish(spec.subject, payload, headers=headers)

    await _at_broker(site, publish)


def _poison(how: str) -> bytes:
    match how:
        case "torn":
            return TORN
        case "large":
            return TORN * 40_000
        case _:  # what can be read and says nothing
            return events_pb2.ConversionEventBatch(
                events=[events_pb2.ConversionEvent(event_id=f"{POISON}{uuid4()}")]
            ).SerializeToString()


async def _lost_stream(site: Site, injection: Injection) -> None:
    """Deletes a stream with whatever is in it, as a broker that lost its disk; its owner publishes again."""
    spec = STREAMS[injection.target]

    async def delete(jetstream: JetStreamContext) -> None:
        await jetstream.delete_stream(spec.name)

    await _at_broker(site, delete)


async def _poison_plan(site: Site, _injection: Injection) -> None:
    """Opens a program beside the others whose plan is as dear as any may be, and has orders settled by it."""
    deadline = asyncio.get_running_loop().time() + PLAN_SECONDS
    async with Client(site.direct_addresses) as client:
        bundle = load(PROGRAMS / "three-levels.yaml")
        bundle.program.program_id = f"dear-{uuid4().hex}"
        assert bundle.plan is not None
        bundle.plan.rules.clear()
        for number in range(DEAR_RULES):
            rule = bundle.plan.rules.add(rule_id=f"r{number}", on=["order"], asset="USD")
            rule.when = "beneficiary.attributes['tier'] != 'none'"
            rule.to.upline.from_level, rule.to.upline.to_level = 1, MAX_LEVEL
            rule.amount.percent.percent = "0.001"
        world = World(client, site.flow, bundle.program.program_id, bundle.program.currency_code)
        line = [
            participant_pb2.ParticipantDraft(participant_id=f"p{level}", sponsor_id=f"p{level - 1}" if level else "")
            for level in range(MAX_LEVEL + 1)
        ]
        for step in (
            lambda: apply_bundle(client, bundle),
            lambda: world.enrol_all(line),
            lambda: world.record([world.order(f"o{n}", f"p{MAX_LEVEL}", 10_000) for n in range(DEAR_ORDERS)]),
        ):
            while True:
                try:
                    await step()
                except (grpc.aio.AioRpcError, CommandFailed) as error:
                    if asyncio.get_running_loop().time() > deadline:
                        raise AssertionError(f"the dear plan was not taken in {PLAN_SECONDS} seconds") from error
                    await asyncio.sleep(0.3)
                else:
                    break


async def _lost_messages(site: Site, injection: Injection) -> None:
    """Removes from a stream whatever its reader has not settled, several times; owner and reader find out that it is
    missing."""
    spec = STREAMS[injection.target]

    async def purge(jetstream: JetStreamContext) -> None:
        await jetstream.purge_stream(spec.name)

    for _ in range(PURGES):
        await _at_broker(site, purge)
        await asyncio.sleep(injection.seconds / PURGES)


async def _at_broker(site: Site, work: Callable[[JetStreamContext], Awaitable[None]]) -> None:
    """Does something at the broker, which may be away: then it is done once it is back."""
    ends = asyncio.get_running_loop().time() + BROKER_SECONDS
    while True:
        client = None
        try:
            async with asyncio.timeout(BROKER_SECONDS):
                client = await nats.connect(site.flow.nats_url, allow_reconnect=False, error_cb=_say_nothing)
                await work(client.jetstream(timeout=1.0))
        except (nats.errors.Error, OSError, TimeoutError):
            if asyncio.get_running_loop().time() > ends:
                return  # there is nobody to hand it to in this round
            await asyncio.sleep(0.2)
        else:
            return
        finally:
            if client is not None:
                await client.close()


async def _say_nothing(_error: Exception) -> None:
    """A broker that dies is what a round is about."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "pause": Kind(_processes_and_servers, ("SIGSTOP",), (1.0, 6.0), _pause, weight=2.0),
        "long pause": Kind(_processes_and_servers, ("SIGSTOP",), (16.0, 20.0), _pause, weight=0.5),
        "kill": Kind(_processes_and_servers, ("SIGKILL",), (0.0, 0.0), _kill, weight=2.0),
        "restart": Kind(_processes_and_servers, ("fast", "immediate"), (0.0, 0.0), _restart, weight=2.0),
        "cut": Kind(_links, ("rst", "fin", "refused"), (0.0, 3.0), _cut, weight=2.0),
        "slow": Kind(_links, ("latency", "bandwidth"), (2.0, 6.0), _slow, weight=1.5),
        "half open": Kind(
            _links,
            tuple(f"{ways}, {then}" for ways in ("there", "back", "both ways") for then in (THEN_RESET, FOR_GOOD)),
            (1.0, 4.0),
            _half_open,
            weight=2.0,
        ),
        "full disk": Kind(_servers, ("no space",), (1.0, 5.0), _full_disk, able=lambda site: site.able.disks),
        "clock": Kind(_clocks, ("-40", "-5", "5", "40"), (2.0, 6.0), _skew, weight=2.0),
        "poison event": Kind(
            lambda _site: [*READ_STREAMS], ("torn", "large", "says nothing"), (0.0, 0.0), _poison_event
        ),
        "poison plan": Kind(lambda _site: ["rewards"], ("at its limit",), (0.0, 0.0), _poison_plan, weight=0.5),
        "lost stream": Kind(lambda _site: [*KEPT_STREAMS], ("deleted",), (0.0, 0.0), _lost_stream),
        "lost messages": Kind(lambda _site: [*KEPT_STREAMS], ("purged",), (0.5, 2.0), _lost_messages),
    }
)
"""Everything that a round may do."""
_SHORT = (0.3, 1.0)


def _short(kind: Kind) -> Kind:
    """The same for a second at most, without what is noticed by waiting only. A server starts again at once; a service
    needs some seconds of a processor, and is killed elsewhere (tests/faults/test_chaos.py)."""
    hows = tuple(how for how in kind.hows if not how.endswith(FOR_GOOD))
    targets = _servers if kind.do in (_kill, _restart) else kind.targets
    return replace(kind, targets=targets, hows=hows, lasts=_SHORT if kind.lasts[1] else kind.lasts)


SHORT_KINDS: Mapping[str, Kind] = MappingProxyType(
    {name: _short(kind) for name, kind in KINDS.items() if name not in ("long pause", "full disk")}
)
"""The kinds that a round of the suite has: anybody may do them, and they are over in a moment."""
