"""Data of an earlier version is read by this one: restored on a server that knows no role, migrated, and gone on
with."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import make_url
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import wallet_pb2, wallet_pb2_grpc

from chassis import privileges
from chassis.clock import ManualClock
from chassis.database import Database
from chassis.migrate import head_revision, migrate, role_name
from cli.client import Addresses, Client
from cli.errors import reason_of
from cli.views.audit import read_audit
from services.attribution.__main__ import AttributionService
from services.notify.__main__ import NotifyService
from services.rewards.__main__ import RewardsService
from services.rewards.commands.rebuild import rebuild
from tests.conftest import ROLE_PASSWORD, SERVICES, Servers
from tests.e2e.world import World
from tests.flow import Flow, becomes
from tests.running import DEADLINE_SECONDS, running
from tests.spare import load_sql, spare_servers

FILES = Path(__file__).parent / "stored"
RECORDED: dict[str, Any] = json.loads((FILES / "wallets.json").read_text())
PROGRAM = "stored"

Wallets = dict[str, dict[str, list[int]]]

# What a role may do with everything in a schema, its columns and functions included; the owner's own rights aside.
_RIGHTS = """
    SELECT relation.relname::text, '', rights.privilege_type FROM pg_class relation, aclexplode(relation.relacl) rights
    WHERE relation.relnamespace = %(schema)s::regnamespace AND rights.grantee = %(role)s::regrole
    UNION ALL
    SELECT relation.relname::text, part.attname::text, rights.privilege_type
    FROM pg_class relation JOIN pg_attribute part ON part.attrelid = relation.oid, aclexplode(part.attacl) rights
    WHERE relation.relnamespace = %(schema)s::regnamespace AND rights.grantee = %(role)s::regrole
    UNION ALL
    SELECT function.proname::text, '', rights.privilege_type FROM pg_proc function, aclexplode(function.proacl) rights
    WHERE function.pronamespace = %(schema)s::regnamespace AND rights.grantee = %(role)s::regrole
    UNION ALL
    SELECT space.nspname::text, '', rights.privilege_type FROM pg_namespace space, aclexplode(space.nspacl) rights
    WHERE space.oid = %(schema)s::regnamespace AND rights.grantee = %(role)s::regrole
    UNION ALL
    SELECT function.proname::text, 'PUBLIC', 'EXECUTE' FROM pg_proc function
    WHERE function.pronamespace = %(schema)s::regnamespace AND function.prosecdef
        AND has_function_privilege('public', function.oid, 'EXECUTE')
    ORDER BY 1, 2, 3
"""


def rights(url: str, service: str) -> list[tuple[str, str, str]]:
    """The privileges of a service's role as (object, column, privilege), without those of partitions made since."""
    with psycopg.connect(url) as conn:
        return conn.execute(_RIGHTS, {"schema": service, "role": role_name(service)}).fetchall()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with the data, migrated."""
    with spare_servers(Path(tmp_path_factory.mktemp("old"))) as servers:
        load_sql(servers.postgres.url, FILES / "database.sql.gz")
        migrate(servers.postgres.url, SERVICES, ROLE_PASSWORD)
        yield servers


@pytest_asyncio.fixture(scope="module")
async def world(old: Servers) -> AsyncIterator[World]:
    """The services on the data, at the moment when it was stored."""
    clock = ManualClock(datetime.fromisoformat(RECORDED["moment"]))
    async with AsyncExitStack() as stack:
        targets = [
            (await stack.enter_async_context(running(build(old.settings(service), clock)))).target
            for service, build in (
                ("attribution", AttributionService),
                ("rewards", RewardsService),
                ("notify", NotifyService),
            )
        ]
        client = await stack.enter_async_context(Client(Addresses(*targets)))
        yield World(client, Flow(old.postgres.url, old.nats.url), PROGRAM, "USD")


@pytest.mark.parametrize("service", SERVICES)
def test_a_restored_database_has_every_right_of_a_fresh_one(old: Servers, servers: Servers, service: str) -> None:
    assert rights(old.postgres.url, service) == rights(servers.postgres.url, service)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_role_may_do_is_what_is_stated(servers: Servers, service: str) -> None:
    stated = sorted((each.name, each.column, each.privilege) for each in privileges.stated(service))
    assert rights(servers.postgres.url, service) == stated


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_left_to_do_after_a_migration(old: Servers, service: str) -> None:
    again = migrate(old.postgres.url, SERVICES, ROLE_PASSWORD)
    assert f"{service}: at {head_revision(service)} already" in again


async def test_wallets_are_what_they_were(world: World) -> None:
    await world.drained()
    for program_id, people in RECORDED["wallets"].items():
        assert await wallets(world, program_id, list(people)) == people, program_id


async def test_the_ledger_balances_and_every_row_is_computed_again(world: World, old: Servers) -> None:
    await world.drained()
    found = await read_audit(world.client, "", full=True)
    assert [f"{each.check} {each.subject}: {each.detail}" for each in found.findings] == []
    assert found.transfer_count > 700
    rebuilt = await rebuild(old.postgres.url, "", lambda _total: lambda _done: None, jobs=1)
    assert rebuilt.differences == []
    assert (rebuilt.programs, rebuilt.conversions, rebuilt.reversals) == (24, 277, 85)


async def test_an_order_of_then_is_refunded_now(world: World, old: Servers) -> None:
    with psycopg.connect(old.postgres.url) as conn:
        paid = conn.execute(
            "SELECT beneficiary_id, asset, amount_minor FROM rewards.reward WHERE program_id = %s AND conversion_id = "
            "'o2'",
            [PROGRAM],
        ).fetchall()
    assert len(paid) == 4
    people = sorted({person for person, _, _ in paid})
    before = await wallets(world, PROGRAM, people)
    await world.refund("late-refund", "o2")
    await world.drained()
    after = await wallets(world, PROGRAM, people)
    for person, asset, amount_minor in paid:
        _, available_before, _, _ = before[person][asset]
        _, available_after, _, _ = after[person][asset]
        assert available_before - available_after == amount_minor, person
    assert (await read_audit(world.client, PROGRAM, full=True)).balanced
    assert (await rebuild(old.postgres.url, PROGRAM, lambda _total: lambda _done: None, jobs=1)).differences == []


async def test_a_live_inbox_resumes_where_it_ended_on_the_server_before(world: World) -> None:
    await world.drained()
    told = [each.entry_id for each in await world.inbox("bob")]
    request = notify_pb2.WatchInboxRequest(program_id=PROGRAM, participant_id="bob", after_entry_id=told[0])
    call = world.client.inbox.WatchInbox(request)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            found = [(await call.read()).entry.entry_id for _ in told]
    finally:
        call.cancel()
    assert sorted(found) == sorted(["", *told[1:]])  # the empty one says that the watch has begun


async def test_a_call_of_then_is_known_and_not_carried_out_again(world: World, old: Servers) -> None:
    request = notify_pb2.UpdatePreferencesRequest(
        request_id="e2c910e7210042239e2ca39376ebae02",
        program_id="admitad-share",
        participant_id="lena",
        preferences=notify_pb2.Preferences(locale="ru"),
    )
    update_time = "SELECT update_time FROM notify.preference WHERE participant_id = 'lena'"
    with psycopg.connect(old.postgres.url, autocommit=True) as conn:
        before = conn.execute(update_time).fetchall()
        answer = await world.client.preferences.UpdatePreferences(request, timeout=DEADLINE_SECONDS)
        assert answer.SerializeToString().hex() == "0a040a027275"  # as the dump has it
        assert conn.execute(update_time).fetchall() == before
        request.request_id += "-another"
        await world.client.preferences.UpdatePreferences(request, timeout=DEADLINE_SECONDS)
        assert conn.execute(update_time).fetchall() != before


async def test_a_service_without_its_rights_says_so_and_waits(world: World, old: Servers) -> None:
    await world.drained()
    before = await world.wallet("bob")
    with psycopg.connect(old.postgres.url, autocommit=True) as conn:
        conn.execute("REVOKE ALL ON ALL TABLES IN SCHEMA rewards FROM upline_rewards")
    async with grpc.aio.insecure_channel(world.client.addresses.rewards) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        wallets = wallet_pb2_grpc.WalletServiceStub(channel)

        async def status() -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
            return int(answer.status)

        await becomes(status, health_pb2.HealthCheckResponse.NOT_SERVING)
        request = wallet_pb2.GetWalletRequest(program_id=PROGRAM, participant_id="bob")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wallets.GetWallet(request, timeout=DEADLINE_SECONDS)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(refused.value) == "DATABASE_NOT_READY"
        assert "upline migrate" in (refused.value.details() or "")
        await world.buy("while-waiting", "cid", 100_00)
        (line,) = [each for each in migrate(old.postgres.url, SERVICES, ROLE_PASSWORD) if each.startswith("rewards")]
        assert "privileges of upline_rewards were missing and are granted" in line
        await becomes(status, health_pb2.HealthCheckResponse.SERVING)
    await world.drained()
    assert (await world.wallet("bob"))["USD"][1] == before["USD"][1] + 5_00


async def test_a_role_with_another_password_is_told_apart_from_a_fault(old: Servers) -> None:
    settings = old.settings("rewards")
    wrong = make_url(settings.database_url).set(password="of-another-server")
    database = Database(wrong.render_as_string(hide_password=False), "rewards")
    try:
        with pytest.raises(RuntimeError, match="run `upline migrate` with the password that the services use"):
            await database.ready()
    finally:
        await database.close()


async def wallets(world: World, program_id: str, people: list[str]) -> Wallets:
    """Held, available, reserved and debt by person and asset."""
    found = {}
    for person in people:
        request = wallet_pb2.GetWalletRequest(program_id=program_id, participant_id=person)
        answer = await world.client.wallets.GetWallet(request, timeout=20.0)
        found[person] = {
            each.asset: [each.held_minor, each.available_minor, each.reserved_minor, each.debt_minor]
            for each in answer.balances
        }
    return found
