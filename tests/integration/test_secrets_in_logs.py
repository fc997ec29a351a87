"""Secrets and what people tell are planted, everything is made to fail, and no log of any process has them."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio
from upline.rewards.v1 import payout_pb2, payout_pb2_grpc

from chassis.embedded.state import free_port
from chassis.migrate import migrate
from cli.bundle.program import load
from cli.client import Addresses, Client
from cli.programs import apply_bundle
from cli.stack.health import health
from tests.conftest import SERVICES, Servers
from tests.e2e.stacks import until
from tests.e2e.world import PROGRAMS, World
from tests.flow import Flow, becomes
from tests.running import DEADLINE_SECONDS
from tests.spare import spare_servers

CARD = "4000001234567899"
EMAIL = "private.address@mail.example"
SECRET = "planted-secret-of-the-installation-0123456789"
ROLE_PASSWORD = "planted-role-password"
WEBHOOK_KEY = base64.b64encode(b"planted webhook key 0123456789ab").decode()
START_SECONDS = 90.0


@dataclass(frozen=True)
class Planted:
    """Services in processes of their own, whose database refuses what it is told."""

    servers: Servers
    folder: Path
    addresses: Addresses

    def logs(self) -> dict[str, str]:
        """Everything that any of the processes wrote, the servers' included."""
        return {file.name: file.read_text(errors="replace") for file in self.folder.glob("**/*.log")}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    folder = Path(tmp_path_factory.mktemp("planted"))
    with spare_servers(folder) as servers, ExitStack() as stack:
        migrate(servers.postgres.url, SERVICES, ROLE_PASSWORD)
        ports = {service: free_port() for service in SERVICES}
        for service in SERVICES:
            output = stack.enter_context((folder / f"{service}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}"],
                env=_environment(servers, service, ports[service]),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        targets = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        until(lambda: all(health(each) == "SERVING" for each in targets.values()), START_SECONDS)
        yield Planted(servers, folder, Addresses(**targets))


def _environment(servers: Servers, service: str, port: int) -> dict[str, str]:
    caller = {name: text for name, text in os.environ.items() if not name.startswith("UPLINE_")}
    port_of_postgres = servers.postgres.port
    return caller | {
        "UPLINE_DATABASE_URL": f"postgresql://upline_{service}:{ROLE_PASSWORD}@127.0.0.1:{port_of_postgres}/upline",
        "UPLINE_NATS_URL": servers.nats.url,
        "UPLINE_NATS_MONITOR_URL": servers.nats.monitor_url,
        "UPLINE_SECRET": SECRET,
        "UPLINE_PORT": str(port),
        "UPLINE_LOG_JSON": "true",
        "UPLINE_LOG_LEVEL": "debug",
        "UPLINE_PAYOUT_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/payouts",  # nobody listens
        "UPLINE_PAYOUT_WEBHOOK_SECRET": WEBHOOK_KEY,
        "UPLINE_PAYOUT_WEBHOOK_METHODS": "card",
    }


@pytest_asyncio.fixture(scope="module")
async def world(planted: Planted) -> AsyncIterator[World]:
    """A program that pays money out, and somebody who has some."""
    bundle = load(PROGRAMS / "kolkhoz.yaml")
    async with Client(planted.addresses) as client:
        await apply_bundle(client, bundle)
        flow = Flow(planted.servers.postgres.url, planted.servers.nats.url)
        yield World(client, flow, bundle.program.program_id, bundle.program.currency_code)


async def test_no_log_has_what_was_planted(planted: Planted, world: World) -> None:
    await world.enrol("ann", attributes={"email": EMAIL})
    await world.enrol("bob", sponsor_id="ann")
    await _deposit(world, "d1", "bob")
    await world.drained()
    with psycopg.connect(planted.servers.postgres.url, autocommit=True) as owner:
        with owner.transaction():
            owner.execute("LOCK TABLE rewards.payout IN ACCESS EXCLUSIVE MODE")
            assert await _refusal(planted, "waits-for-a-lock") is grpc.StatusCode.UNAVAILABLE
        with _refusing(owner, "rewards.payout", "method <> 'card'"):
            assert await _refusal(planted, "is-refused") is grpc.StatusCode.INTERNAL
        with (
            _refusing(owner, "attribution.participant", "attributes->>'email' IS NULL"),
            pytest.raises(grpc.aio.AioRpcError),
        ):
            await world.enrol("cid", attributes={"email": EMAIL})
        await world.enrol(EMAIL)
        await world.enrol("dee", sponsor_id=EMAIL)
        with _refusing(owner, "rewards.reward", f"beneficiary_id <> '{EMAIL}'"):
            await _deposit(world, "d2", "dee")

            async def failures() -> list[str]:
                return [str(row[0]) for row in owner.execute("SELECT error FROM rewards.dead_letter").fetchall()]

            await becomes(lambda: _holds(failures), True)
            (error,) = await failures()
            assert error.startswith("CheckViolation: new row for relation")
            assert EMAIL not in error
    assert await _refusal(planted, "is-sent") is grpc.StatusCode.OK
    until(lambda: "payout not answered" in planted.logs()["rewards.log"], DEADLINE_SECONDS)
    logs = planted.logs()
    assert set(logs) >= {"attribution.log", "rewards.log", "notify.log", "postgres.log", "nats.log"}
    owner_password = planted.servers.postgres.url.split(":")[2].split("@")[0]
    broker_password = planted.servers.nats.url.split(":")[2].split("@")[0]
    for secret in (CARD, EMAIL, SECRET, ROLE_PASSWORD, WEBHOOK_KEY, owner_password, broker_password):
        assert [name for name, text in logs.items() if secret in text] == [], secret
    for service in SERVICES:
        lines = [json.loads(line) for line in logs[f"{service}.log"].splitlines()]
        assert {line.get("service") for line in lines} == {service}
        assert [line for line in lines if "[SQL" in json.dumps(line) or "INSERT INTO" in json.dumps(line)] == []
    errors = [json.loads(line).get("error") for line in logs["rewards.log"].splitlines()]
    assert "LockNotAvailable: canceling statement due to lock timeout" in errors


async def _deposit(world: World, conversion_id: str, buyer: str) -> None:
    draft = world.order(conversion_id, buyer, 10_000_00)
    draft.event_type = "deposit"
    await world.record([draft])


async def _holds(read: Callable[[], Awaitable[list[str]]]) -> bool:
    return bool(await read())


@contextmanager
def _refusing(owner: "psycopg.Connection[Any]", table: str, condition: str) -> Iterator[None]:
    """A table that takes only rows of which the condition is true."""
    owner.execute(f"ALTER TABLE {table} ADD CONSTRAINT planted CHECK ({condition}) NOT VALID".encode())
    try:
        yield
    finally:
        owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT planted".encode())


async def _refusal(planted: Planted, payout_id: str) -> grpc.StatusCode:
    """The code with which one request of a payout to the card is refused."""
    request = payout_pb2.RequestPayoutRequest(
        program_id="kolkhoz",
        payout_id=payout_id,
        participant_id="ann",
        asset="RUB",
        amount_minor=200_00,
        method="card",
        destination=CARD,
    )
    async with grpc.aio.insecure_channel(planted.addresses.rewards) as channel:
        try:
            await payout_pb2_grpc.PayoutServiceStub(channel).RequestPayout(request, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK
