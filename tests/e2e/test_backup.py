"""A backup is taken under load, restored elsewhere, and nothing is lost or paid twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from upline.rewards.v1 import wallet_pb2, wallet_pb2_grpc

from chassis.clock import SystemClock
from chassis.migrate import migrate
from cli.bundle.program import load
from cli.client import Addresses, Client
from cli.programs import apply_bundle
from services.attribution.__main__ import AttributionService
from services.rewards.__main__ import RewardsService
from tests.conftest import ROLE_PASSWORD, SECRET, SERVICES, Servers
from tests.e2e.stacks import Up, up, upline
from tests.e2e.world import PROGRAMS, World
from tests.flow import Flow, becomes
from tests.running import DEADLINE_SECONDS, Running, running
from tests.spare import spare_servers

BUYERS = 5
ORDERS = 40
AMOUNT_MINOR = 100_00
SHARES = {"bob": 5_00, "ann": 2_00, "top": 1_00}
"""The amounts that an order of a buyer pays to each of the three people above."""


@asynccontextmanager
async def world_of(stack: Up) -> AsyncIterator[World]:
    """The program three-levels on a stack that runs."""
    secrets = json.loads((stack.state / "secrets.json").read_text())
    published = stack.published
    flow = Flow(
        f"postgresql://upline:{secrets['database_password']}@127.0.0.1:{published['postgres_port']}/upline",
        f"nats://upline:{secrets['nats_password']}@127.0.0.1:{published['nats_port']}",
    )
    async with Client(Addresses(**published["services"])) as client:
        yield World(client, flow, "three-levels", "USD")


async def populate(world: World) -> None:
    """Three sponsors in a line, and buyers under the last one."""
    await apply_bundle(world.client, load(PROGRAMS / "three-levels.yaml"))
    for person, sponsor in (("top", ""), ("ann", "top"), ("bob", "ann")):
        await world.enrol(person, **({"sponsor_id": sponsor} if sponsor else {}))
    for number in range(BUYERS):
        await world.enrol(f"buyer{number}", sponsor_id="bob")


async def order(world: World, number: int) -> None:
    """Records an order; the same again, if it is there."""
    await world.buy(f"o{number}", f"buyer{number % BUYERS}", AMOUNT_MINOR)


async def earned(world: World) -> dict[str, int]:
    """The available amount of each of the three sponsors."""
    return {person: (await world.wallet(person))["USD"][1] for person in SHARES}


def restore(file: Path, state: Path, code: int = 0) -> tuple[Any, str]:
    """Restores a backup; returns the answer of the command on stdout, read as JSON, and the text on stderr."""
    done = upline("restore", str(file), "--json", state=state, check=False)
    assert done.returncode == code, done.stderr
    return (json.loads(done.stdout) if done.stdout else None), done.stderr


async def test_a_backup_under_load_is_restored_into_an_empty_stack(tmp_path: Path) -> None:
    file = tmp_path / "kept.upline"
    with up(tmp_path / "first") as first:
        async with world_of(first) as world:
            await populate(world)
            for number in range(ORDERS):
                await order(world, number)
            await world.drained()
            # What is recorded from here on is not settled when the backup is taken.
            rewards = first.child("services.rewards")
            os.kill(rewards, signal.SIGSTOP)
            try:
                for number in range(ORDERS, 2 * ORDERS):
                    await order(world, number)
                taking = asyncio.create_task(
                    asyncio.to_thread(upline, "backup", str(file), "--json", state=tmp_path / "first")
                )
                number = 2 * ORDERS
                while not taking.done():
                    await order(world, number)
                    number += 1
                kept = json.loads((await taking).stdout)
            finally:
                os.kill(rewards, signal.SIGCONT)
        assert first.stop() == 0
    assert kept["rows"] > ORDERS
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*part")) == []

    restored, _ = restore(file, tmp_path / "second")
    assert (restored["rows"], restored["tables"]) == (kept["rows"], kept["tables"])
    assert restored["published_again"]["attribution"] >= ORDERS
    with up(tmp_path / "second") as second:  # ready once every service is SERVING
        async with world_of(second) as world:
            await world.drained()
            with psycopg.connect(world.flow.postgres_url) as conn:
                (count,) = conn.execute("SELECT count(*) FROM attribution.conversion").fetchone() or (0,)
            assert count >= 2 * ORDERS
            assert await earned(world) == {person: count * share for person, share in SHARES.items()}
            # Callers send again what they sent since: what is there changes nothing, what is not is paid.
            for again in range(number):
                await order(world, again)
            await world.drained()
            assert await earned(world) == {person: number * share for person, share in SHARES.items()}
            assert await world.audit() == []
        assert "every row is the same" in upline("rebuild", "--check", state=tmp_path / "second").stdout
        _, told = restore(file, tmp_path / "second", 1)
        assert "a stack runs on" in told
        assert second.stop() == 0
    _, told = restore(file, tmp_path / "second", 1)
    assert "the database is not empty (attribution.conversion" in told


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a stack that was stopped, without data."""
    state = Path(tmp_path_factory.mktemp("stopped")) / "state"
    with up(state) as stack:
        assert stack.stop() == 0
    return state


def test_half_a_backup_is_none(stopped: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.upline"
    upline("backup", str(file), state=stopped)  # its services do not run
    whole = file.read_bytes()
    refused = upline("backup", str(file), state=stopped, check=False)
    assert (refused.returncode, file.read_bytes()) == (1, whole)
    assert "exists already" in refused.stderr
    middle = len(whole) // 2
    for name, content, why in (
        ("cut", whole[:middle], "damaged"),
        ("without-end", whole[: whole.rindex(b"end.json")], "incomplete"),
        ("changed", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], "damaged"),
        ("text", b"CREATE TABLE x ();" * 100, "is not a backup"),
        ("nothing", b"", "is not a backup"),
    ):
        (tmp_path / name).write_bytes(content)
        _, told = restore(tmp_path / name, tmp_path / "fresh", 1)
        assert why in told, name
    assert not (tmp_path / "fresh").exists()


def test_without_a_stack_there_is_nothing_to_keep(tmp_path: Path) -> None:
    done = upline("backup", str(tmp_path / "kept"), state=tmp_path / "none", check=False)
    assert done.returncode == 2
    assert "there is no stack on" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_programs_that_are_not_there_are_said_to_be_missing(stopped: Path, tmp_path: Path) -> None:
    done = upline("backup", str(tmp_path / "kept"), "--programs", str(tmp_path), state=stopped, check=False)
    assert done.returncode == 2
    assert "pg_dump and pg_restore are not to be found in" in done.stderr
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4'\n")
    old.chmod(0o755)
    done = upline("backup", str(tmp_path / "kept"), "--programs", str(tmp_path), state=stopped, check=False)
    assert done.returncode == 2
    assert "has those of PostgreSQL 15, but the server is PostgreSQL 18" in done.stderr
    assert not (tmp_path / "kept").exists()


async def external(servers: Servers, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Exit code, stdout and stderr of a command on a database that is said by its URL."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("UPLINE_")}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", *arguments],
        env=environment
        | {
            "UPLINE_DATABASE_URL": servers.postgres.url,
            "UPLINE_ROLE_PASSWORD": ROLE_PASSWORD,
            "UPLINE_SECRET": SECRET,
        },
        input=stdin,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def empty(servers: Servers) -> None:
    """The database as it was made, on a server that still knows the roles."""
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        for service in SERVICES:
            conn.execute(f"DROP SCHEMA {service} CASCADE".encode())


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with spare_servers(Path(tmp_path_factory.mktemp("spare"))) as servers:
        migrate(servers.postgres.url, SERVICES, ROLE_PASSWORD)
        yield servers


async def test_a_broker_that_knows_the_events_takes_them_again(spare: Servers) -> None:
    """Within some minutes a broker drops what has an id that it had already: restored events get others."""
    clock = SystemClock()
    flow = Flow(spare.postgres.url, spare.nats.url)
    async with AsyncExitStack() as stack:
        attribution = await stack.enter_async_context(running(AttributionService(spare.settings("attribution"), clock)))
        nobody = attribution.target  # is called for nothing
        client = await stack.enter_async_context(Client(Addresses(attribution.target, nobody, nobody)))
        async with (
            running(RewardsService(spare.settings("rewards"), clock)) as rewards,
            Client(Addresses(attribution.target, rewards.target, nobody)) as both,
        ):
            await apply_bundle(both, load(PROGRAMS / "three-levels.yaml"))
        world = World(client, flow, "three-levels", "USD")
        await world.enrol("top")
        await world.enrol("buyer", sponsor_id="top")
        await world.buy("o1", "buyer", AMOUNT_MINOR)
        code, kept, told = await external(spare, "backup", "-")
        assert code == 0, told
        assert "kept" in told
        async with running(RewardsService(spare.settings("rewards"), clock)) as rewards:
            await becomes(lambda: balance(rewards), 5_00)
        code, _, told = await external(spare, "restore", "-", stdin=kept)
        assert code == 1
        assert "services are connected to this database (upline_attribution)" in told
    code, _, told = await external(spare, "restore", "-", stdin=kept)
    assert code == 1
    assert "the database is not empty" in told
    empty(spare)
    code, _, told = await external(spare, "restore", "-", stdin=kept[: kept.rindex(b"end.json")])
    assert code == 1
    assert "incomplete" in told
    with psycopg.connect(spare.postgres.url) as conn:
        assert conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'rewards'").fetchone() == (0,)
    code, _, told = await external(spare, "restore", "-", stdin=kept)
    assert code == 0, told
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(AttributionService(spare.settings("attribution"), clock)))
        rewards = await stack.enter_async_context(running(RewardsService(spare.settings("rewards"), clock)))
        await becomes(lambda: balance(rewards), 5_00)


async def balance(rewards: Running) -> int:
    """The balance of the sponsor above the buyer."""
    request = wallet_pb2.GetWalletRequest(program_id="three-levels", participant_id="top")
    answer = await wallet_pb2_grpc.WalletServiceStub(rewards.channel).GetWallet(request, timeout=DEADLINE_SECONDS)
    return sum(each.available_minor for each in answer.balances)


async def test_another_secret_is_told(spare: Servers, tmp_path: Path) -> None:
    code, kept, told = await external(spare, "backup", "-")
    assert code == 0, told
    (tmp_path / "kept").write_bytes(kept)
    _, told = restore(tmp_path / "kept", tmp_path / "elsewhere")
    assert "another secret than the one that was kept" in told
