"""Redemptions, gifts, exchanges and payouts while rewards and the database are killed: whoever repeats a call gets
each done once."""

import asyncio
import random
from pathlib import Path

from cli.client import Addresses, Client
from tests.e2e.stacks import up
from tests.faults.killing import Killer, nats_url, postgres_url
from tests.faults.shopping import Shopper, open_shop, wrong_wallets
from tests.flow import Flow

SEED = 11
CLIENTS, TURNS = 12, 15
KILLED = ("rewards", "postgres", "rewards")


async def test_whoever_repeats_his_calls_gets_each_done_once(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    with up(tmp_path / "state", "--workers", "2") as stack:
        killer = Killer(stack, stack.published)
        async with Client(Addresses(**stack.published["services"])) as client:
            world = await open_shop(client, Flow(postgres_url(stack), nats_url(stack)), "wallet-kills")
            shoppers = [Shopper(world, client, SEED, number) for number in range(CLIENTS)]
            stop = asyncio.Event()
            work = asyncio.gather(*(each.work(stop, TURNS) for each in shoppers))
            for component in KILLED:
                await asyncio.sleep(rng.uniform(0.5, 1.5))
                await killer.kill(component, rng)
            stop.set()
            await work
            assert await wrong_wallets(world, shoppers) == []
            assert await world.audit() == []
