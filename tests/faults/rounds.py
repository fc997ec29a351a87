"""One round: work goes on in a fresh program while faults are done to the stack; then all is mended, drained, compared.

What works, and checks afterwards what became of it, is a *workload*; any number of them work side by side in the
program of the round.
"""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import psycopg

from cli.client import Client
from services.attribution.domain.destination import TOKEN_PARAMETER
from tests.e2e.world import World
from tests.faults.checking import Verdict, check
from tests.faults.injections import KINDS, POISON, Injection, Kind, draw, inject
from tests.faults.load import Facts, Load, Rate
from tests.faults.program import FEWEST_PEOPLE, HOLDS, Holds, enrol, make_links, open_program
from tests.faults.shopping import Shopper, open_shop, wrong_wallets
from tests.faults.sites import Site
from tests.flow import Flow, becomes

FINISH_SECONDS = 90.0
"""How long callers may take to have everything acknowledged that they began, once the stack is whole again."""
RECONCILE_SECONDS = 120.0
OWNERS = ("attribution", "rewards")
"""The owners of streams that a reader settles."""
_LAST = "SELECT coalesce(max(outbox_id), 0) FROM {owner}.outbox"
_DISAGREEMENT = """
    SELECT (SELECT count(*) FROM {owner}.gap WHERE close_time IS NULL AND NOT set_aside),
        greatest(0, %(last)s - coalesce((SELECT max(settled_id) FROM {owner}.reconciliation), 0))
"""
DRAIN_SECONDS = 150.0
"""How long until all of it is settled and told: longer than a transaction may hang on a connection that died."""


SHOPPERS = 2
VISIT_SECONDS = 10.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
"""Tools are led on without a token."""
RATE = Rate(max_orders_a_call=12, max_refunds_a_call=6, max_pause_seconds=0.3)


@dataclass(frozen=True)
class Scene:
    """The program and stack on which a workload works."""

    seed: int
    world: World
    """The program of the round, asked past the links, as whoever checks does."""
    site: Site
    """The stack; callers reach it by `site.addresses`, through links that are spoilt."""
    over: asyncio.Event
    """Set when nothing is spoilt any more: now every call is to be brought to its end."""


class Workload(Protocol):
    """Work that goes on during a round."""

    async def prepare(self, scene: Scene) -> None:
        """Makes what it needs; nothing is spoilt yet."""
        ...

    async def run(self, scene: Scene) -> None:
        """Works until the faults are over; returns when all that it began is acknowledged."""
        ...

    async def check(self, scene: Scene, verdict: Verdict) -> None:
        """Compares what it was told with what there is; everything is settled."""
        ...


Workloads = Callable[[], Sequence[Workload]]
"""Makes the workloads of one round."""


class Trade:
    """Clicks, orders and refunds, repeated until each is acknowledged (tests/faults/load.py)."""

    facts: Facts
    links: dict[str, str]

    async def prepare(self, scene: Scene) -> None:
        """Enrols people and makes links."""
        rng = random.Random(scene.seed)
        self.facts = await enrol(scene.world, rng, FEWEST_PEOPLE)
        self.links = await make_links(scene.world, rng)

    async def run(self, scene: Scene) -> None:
        """Works until the faults are over."""
        load = Load(scene.site.addresses.attribution, scene.world.program_id, self.facts, self.links, scene.seed, RATE)
        load.start()
        visiting = asyncio.create_task(self._visit(scene, load))
        try:
            while not scene.over.is_set():
                load.check_alive()
                await asyncio.sleep(0.1)
            await load.finish(FINISH_SECONDS)
            await visiting
        finally:
            visiting.cancel()

    async def _visit(self, scene: Scene, load: Load) -> None:
        """Follows links until the faults are over: whoever is led on has a token that counts, whatever else failed."""
        rng = random.Random(scene.seed)
        patience = aiohttp.ClientTimeout(total=VISIT_SECONDS)
        async with aiohttp.ClientSession(headers={"User-Agent": BROWSER}, timeout=patience) as browser:
            while not scene.over.is_set():
                owner = rng.choice(list(self.links))
                url = f"{scene.site.redirect_url}/r/{scene.world.program_id}/{self.links[owner]}"
                self.facts.visits += 1
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with browser.get(url, allow_redirects=False) as answer:
                        if answer.status == HTTPStatus.FOUND:
                            load.take(owner, _token_in(answer.headers["Location"]))
                            self.facts.led_on += 1
                        else:
                            assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE, await answer.text()
                await asyncio.sleep(rng.uniform(0, RATE.max_pause_seconds))

    async def check(self, scene: Scene, verdict: Verdict) -> None:
        """Compares clicks, conversions, wallets, ledger and inboxes."""
        found = await check(scene.world, self.facts)
        verdict.figures |= found.figures | {"visits": self.facts.visits, "visitors_led_on": self.facts.led_on}
        verdict.wrong += [each for each in found.wrong if not (each.startswith("audit: ") and POISON in each)]


def _token_in(location: str) -> str:
    return dict(parse_qsl(urlsplit(location).query))[TOKEN_PARAMETER]


class Shopping:
    """Redemptions, gifts, exchanges and payouts in a program beside that of the round (tests/faults/shopping.py)."""

    world: World
    shoppers: list[Shopper]

    async def prepare(self, scene: Scene) -> None:
        """Makes people rich."""
        program_id = f"{scene.world.program_id}-shop"
        self.world = await open_shop(scene.world.client, scene.world.flow, program_id, POISON)

    async def run(self, scene: Scene) -> None:
        """Works until the faults are over."""
        async with Client(scene.site.addresses) as client:
            self.shoppers = [Shopper(self.world, client, scene.seed, number) for number in range(SHOPPERS)]
            await asyncio.gather(*(each.work(scene.over, 1) for each in self.shoppers))

    async def check(self, _scene: Scene, verdict: Verdict) -> None:
        """Compares the wallets with what was done, and audits them."""
        verdict.wrong += await wrong_wallets(self.world, self.shoppers)
        verdict.wrong += [f"audit of the shop: {each}" for each in await self.world.audit() if POISON not in each]
        verdict.figures["turns_in_the_shop"] = sum(each.turns for each in self.shoppers)


def trade_and_shop() -> Sequence[Workload]:
    """The workloads of a round where nothing else is asked for."""
    return [Trade(), Shopping()]


@dataclass(frozen=True)
class Pace:
    """How a round goes."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    warm_seconds: float = 1.0
    """Work without faults, at the start."""
    spread_seconds: float = 3.0
    """The time within which faults begin."""
    holds: Holds = HOLDS
    reconciles: bool = True
    """Whether a round waits until services have compared what they hold."""


@dataclass
class Outcome:
    """The result of a round."""

    seed: int
    injections: list[Injection]
    figures: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """For a line of JSON."""
        return {
            "seed": self.seed,
            "injections": [each.told() for each in self.injections],
            "figures": self.figures,
            "wrong": self.wrong,
        }


_PACE = Pace()


async def play(site: Site, seed: int, workloads: Workloads = trade_and_shop, pace: Pace = _PACE) -> Outcome:
    """Plays one round on a stack that is well. The same seed does the same to it; the rest is up to the machine."""
    rng = random.Random(seed)
    injections = draw(site, rng, pace.kinds, pace.spread_seconds)
    outcome = Outcome(seed, injections)
    began = time.monotonic()

    def lap(name: str) -> None:
        nonlocal began
        now = time.monotonic()
        outcome.figures[name] = round(now - began, 1)
        began = now

    try:
        async with Client(site.direct_addresses) as client:
            program_id = f"faults-{seed}-{time.time_ns() // 1_000_000}"
            world = await open_program(client, site.flow, program_id, pace.holds)
            scene = Scene(seed, world, site, asyncio.Event())
            working = list(workloads())
            for workload in working:
                await workload.prepare(scene)
            lap("prepare_seconds")
            runs = [asyncio.create_task(each.run(scene)) for each in working]
            try:
                await _while_alive(runs, asyncio.sleep(pace.warm_seconds))
                lap("warm_seconds")
                await _while_alive(runs, inject(site, pace.kinds, injections))
                lap("faults_seconds")
                if ailment := await site.well():
                    outcome.wrong.append(f"it did not become whole again: {ailment}")
                lap("whole_again_seconds")
                scene.over.set()
                async with asyncio.timeout(FINISH_SECONDS):
                    await asyncio.gather(*runs)
                lap("finish_seconds")
            finally:
                for each in runs:
                    each.cancel()
                await asyncio.gather(*runs, return_exceptions=True)
            await _settled(world)
            lap("drain_seconds")
            if pace.reconciles:
                # While poison is tried, for ten minutes, nobody can tell that something else is missing.
                await world.flow.remove(POISON)
                await reconciled(world.flow)
                await _settled(world)
                lap("reconcile_seconds")
            verdict = Verdict()
            for workload in working:
                await workload.check(scene, verdict)
            await _reconcile(world, verdict)
            lap("check_seconds")
            outcome.figures |= verdict.figures
            outcome.wrong += verdict.wrong
    except Exception as error:  # of whatever part of the round: the seed is told with it, and the next one is played
        outcome.wrong.append(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    return outcome


async def _while_alive(runs: list["asyncio.Task[None]"], doing: Awaitable[None]) -> None:
    """Awaits something; raises what made a workload give up meanwhile."""
    task = asyncio.ensure_future(doing)
    await asyncio.wait([task, *runs], return_when=asyncio.FIRST_COMPLETED)
    for each in runs:
        if each.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            each.result()
            raise AssertionError("a workload ended before the faults were over")
    await task


async def reconciled(flow: Flow) -> None:
    """Returns when the owners of streams have found that their readers have all that was recorded before this call.
    Fails where they have not in time."""
    async with await psycopg.AsyncConnection.connect(flow.postgres_url, autocommit=True) as conn:
        for owner in OWNERS:
            last = (await (await conn.execute(_LAST.format(owner=owner).encode())).fetchall())[0][0]
            await becomes(partial(_disagreement, conn, owner, last), (0, 0), RECONCILE_SECONDS)


async def _disagreement(conn: psycopg.AsyncConnection[Any], owner: str, last: int) -> tuple[int, int]:
    """How many gaps are open, and how many ids of the outbox were not compared yet, of those up to `last`."""
    rows = await (await conn.execute(_DISAGREEMENT.format(owner=owner).encode(), {"last": last})).fetchall()
    return int(rows[0][0]), int(rows[0][1])


async def _settled(world: World) -> None:
    """Returns when nothing is on its way any more and every hold has ended."""
    await world.flow.drained(DRAIN_SECONDS, POISON)
    async with await psycopg.AsyncConnection.connect(world.flow.postgres_url, autocommit=True) as conn:

        async def held() -> int:
            rows = await conn.execute("SELECT count(*) FROM rewards.hold WHERE program_id = %s", [world.program_id])
            row = await rows.fetchone()
            return int(row[0]) if row else 0

        await becomes(held, 0, DRAIN_SECONDS)
    await world.flow.drained(DRAIN_SECONDS, POISON)


_FACTS = {
    "conversions": (
        "SELECT conversion_id FROM attribution.conversion WHERE program_id = %s",
        "SELECT conversion_id FROM rewards.conversion WHERE program_id = %s AND record_time IS NOT NULL",
    ),
    "reversals": (
        "SELECT reversal_id FROM attribution.reversal WHERE program_id = %s AND NOT pending",
        "SELECT reversal_id FROM rewards.reversal WHERE program_id = %s",
    ),
    "causes": (
        "SELECT DISTINCT cause_id FROM rewards.movement WHERE program_id = %s",
        "SELECT event_id FROM notify.cause WHERE program_id = %s",
    ),
}
"""The statements for the facts that each service tells, and for those of them that the next one holds."""


async def _reconcile(world: World, verdict: Verdict) -> None:
    """Compares the facts that one service told with those that the next one holds."""
    async with await psycopg.AsyncConnection.connect(world.flow.postgres_url, autocommit=True) as conn:
        for what, statements in _FACTS.items():
            told, held = [
                {(str(row[0]),) for row in await (await conn.execute(each.encode(), [world.program_id])).fetchall()}
                for each in statements
            ]
            verdict.same(f"{what} that the next service holds", told, held)
