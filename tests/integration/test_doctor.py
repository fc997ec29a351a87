"""The doctor tells what waits in a deployment, also where no service answers: each line is well, worth a look, or
wrong."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from chassis.migrate import migrate
from chassis.stream import Message, Stream
from chassis.topology import CLICKS, CONVERSIONS, REWARDS
from cli.__main__ import app
from cli.doctor import examination
from cli.doctor.result import CheckResult
from cli.doctor.standing import check_lag, check_standing
from tests.conftest import ROLE_PASSWORD, SERVICES, Servers
from tests.spare import spare_servers


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with tables and no services."""
    folder = Path(tmp_path_factory.mktemp("doctor"))
    folder.chmod(0o755)
    with spare_servers(folder) as servers:
        migrate(servers.postgres.url, SERVICES, ROLE_PASSWORD)
        yield servers


@contextmanager
def stored(servers: Servers, *statements: str) -> Iterator[None]:
    """Has rows stored by the statements, for as long as the context lasts."""
    tables = (
        "rewards.outbox",
        "notify.dead_letter",
        "rewards.hold",
        "rewards.payout",
        "rewards.audit_checkpoint",
        "rewards.deferred",
        "notify.delivery",
        "notify.webhook",
    )
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        for each in statements:
            conn.execute(each.encode())
        yield
        for table in tables:
            conn.execute(f"DELETE FROM {table}".encode())


def found(servers: Servers) -> dict[str, tuple[str, str]]:
    """Level and words of each check."""
    return {each.check: (each.level, each.found) for each in check_standing(servers.postgres.url)}


def test_where_nothing_waits_all_is_well(spare: Servers) -> None:
    with stored(spare, clean_audit("10 minutes")):
        told = found(spare)
    assert {level for level, _ in told.values()} == {"ok"}
    assert {name: words for name, (_, words) in told.items() if name != "connections"} == {
        "outbox of attribution": "empty",
        "dead letters of attribution": "none",
        "outbox of rewards": "empty",
        "dead letters of rewards": "none",
        "audit": "the last clean one began 10 minutes ago",
        "holds": "none is overdue",
        "payouts": "none waits",
        "slow programs": "none",
        "transactions": "none has been open for long",
        "dead letters of notify": "none",
        "webhooks": "nothing is parked",
    }


def clean_audit(ago: str) -> str:
    return (
        "INSERT INTO rewards.audit_checkpoint (horizon, clean_time, due_time)"
        f" VALUES (1, now() - interval '{ago}', now())"
    )


def test_the_last_audit_is_told_by_what_it_found_and_how_long_ago(spare: Servers) -> None:
    assert found(spare)["audit"] == ("warn", "none has ended yet")
    with stored(spare, clean_audit("2 days")):
        assert found(spare)["audit"] == ("warn", "the last clean one began 2 days ago")
    forgotten = "UPDATE rewards.audit_checkpoint SET horizon = NULL"
    with stored(spare, clean_audit("1 minute"), forgotten):
        level, words = found(spare)["audit"]
    assert (level, words.partition("; ")[2]) == (
        "warn",
        "the next one reads everything, as after one that was not clean",
    )
    with stored(spare, "INSERT INTO rewards.audit_checkpoint (due_time) VALUES (now())"):
        assert found(spare)["audit"] == ("bad", "none was clean: the ledger is wrong")


def outbox_row(seconds: int) -> str:
    return (
        "INSERT INTO rewards.outbox (subject, message_id, message_type, payload, create_time)"
        f" VALUES ('s', 'm', 't', '', now() - interval '{seconds} seconds')"
    )


@pytest.mark.parametrize(("seconds", "level"), [(1, "ok"), (60, "warn"), (600, "bad")])
def test_an_outbox_is_told_by_the_age_of_what_waits(spare: Servers, seconds: int, level: str) -> None:
    with stored(spare, outbox_row(seconds)):
        told = found(spare)["outbox of rewards"]
    assert told[0] == level
    assert told[1].startswith("1 events wait, the oldest for ")


def test_dead_letters_are_wrong(spare: Servers) -> None:
    letter = (
        "INSERT INTO notify.dead_letter (consumer, message_id, subject, payload, error, park_time)"
        " VALUES ('notify', 'm', 's', '', 'e', now())"
    )
    with stored(spare, letter):
        assert found(spare)["dead letters of notify"] == ("bad", "1")


def test_parked_deliveries_and_webhooks_that_are_off_are_told_with_their_programs(spare: Servers) -> None:
    delivery = (
        "INSERT INTO notify.delivery (delivery_id, program_id, entry_id, participant_id, channel, endpoint_id, kind,"
        " state) SELECT gen_random_uuid(), 'uds', gen_random_uuid(), 'ann', 1, gen_random_uuid(), 1, 5"
        " FROM generate_series(1, 3)"
    )
    webhook = (
        "INSERT INTO notify.webhook (webhook_id, program_id, url, kinds, state)"
        " VALUES (gen_random_uuid(), 'tinkoff', 'https://hooks.invalid/', '{}', 3)"
    )
    with stored(spare, delivery, webhook):
        told = found(spare)["webhooks"]
    assert told == ("warn", "3 deliveries parked of uds; 1 webhooks switched off of tinkoff")


@pytest.mark.parametrize(("minutes", "level"), [(2, "warn"), (60, "bad")])
def test_overdue_holds_are_told_with_their_programs(spare: Servers, minutes: int, level: str) -> None:
    due = f"now() - interval '{minutes} minutes'"
    holds = f"INSERT INTO rewards.hold SELECT 'p' || n, 'c', {due}, {due} FROM generate_series(1, 5) AS n"
    with stored(spare, holds):
        told = found(spare)["holds"]
    assert told[0] == level
    assert told[1].startswith("5 are overdue, the oldest by ")
    assert told[1].endswith("in p1, p2, p3 and 2 more")


@pytest.mark.parametrize(("hours", "level"), [(0, "ok"), (1, "warn"), (25, "bad")])
def test_facts_that_take_long_are_told_with_their_programs(spare: Servers, hours: int, level: str) -> None:
    waiting = (
        "INSERT INTO rewards.deferred (program_id, event_id, payload, create_time)"
        f" SELECT 'p' || n % 2, 'e' || n, '', now() - interval '{hours} hours 30 seconds'"
        " FROM generate_series(1, 5) AS n"
    )
    with stored(spare, waiting):
        told = found(spare)["slow programs"]
    assert told[0] == level
    assert told[1].startswith("5 facts wait, the oldest for ")
    assert told[1].endswith("of p1, p0")


def payout(name: str, state: int, days: int) -> str:
    then = f"now() - interval '{days} days'"
    return (
        "INSERT INTO rewards.payout (program_id, payout_id, participant_id, asset, amount_minor, fee_minor, method,"
        f" destination, state, create_time, update_time) VALUES ('p', '{name}', 'a', 'USD', 1, 0, 'bank', 'x', {state},"
        f" {then}, {then})"
    )


def test_payouts_that_wait_are_told_by_state(spare: Servers) -> None:
    with stored(spare, payout("one", 1, 2), payout("two", 1, 1), payout("paid", 4, 90)):
        assert found(spare)["payouts"] == ("ok", "2 requested, the oldest for 2 days")
    with stored(spare, payout("one", 3, 5)):
        assert found(spare)["payouts"] == ("warn", "1 sent, the oldest for 5 days")
    with stored(spare, payout("one", 5, 2)):
        assert found(spare)["payouts"] == ("warn", "1 failed, the oldest for 2 days")


def test_connections_that_are_all_taken_are_told(spare: Servers) -> None:
    url = f"{spare.postgres.url}?application_name=upline-rewards-"
    with psycopg.connect(f"{url}probes", autocommit=True), psycopg.connect(f"{url}relay") as busy:
        assert "taken" not in found(spare)["connections"][1]
        busy.execute("SELECT 1")
        level, words = found(spare)["connections"]
        assert (level, words.partition("; ")[2]) == ("warn", "all are taken of rewards relay")


async def test_consumers_are_told_by_how_far_they_are_behind(spare: Servers) -> None:
    def told() -> dict[str, tuple[str, str]]:
        return {each.check: (each.level, each.found) for each in check_lag(spare.nats.monitor_url)}

    lags = {"lag of click_writer", "lag of rewards", "lag of notify"}
    assert await asyncio.to_thread(told) == dict.fromkeys(lags, ("bad", "the broker has no such consumer"))
    stream = await Stream.connect(spare.nats.url, "doctor", spare.nats.monitor_url, (CLICKS, CONVERSIONS, REWARDS))
    try:
        for name in ("a", "b"):
            await stream.publish(Message(CONVERSIONS.subject, name, "t", b""))
        assert await asyncio.to_thread(told) == {
            name: ("ok", f"{2 if name == 'lag of rewards' else 0} messages wait") for name in lags
        }
    finally:
        await stream.close()


def test_what_is_worth_a_look_is_told_with_what_to_do_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [
        CheckResult("one", True, "fine", "nothing"),
        CheckResult("two", True, "late", "look", worth_a_look=True),
    ]
    monkeypatch.setattr(examination, "check_stack", lambda _state: results)
    runner = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})
    told = runner.invoke(app, ["doctor"])
    assert told.exit_code == 0
    assert [line.split() for line in told.output.splitlines()] == [
        ["ok", "one", "fine"],
        ["warn", "two", "late"],
        ["→", "look"],
        ["all", "is", "well"],
    ]
    assert '"level": "warn"' in runner.invoke(app, ["doctor", "--json"]).output
    results.append(CheckResult("three", False, "gone", "mend"))
    assert runner.invoke(app, ["doctor"]).exit_code == 1
