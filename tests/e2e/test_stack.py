"""The supervisor behind `upline up`: nothing is left behind, nothing is lost, nothing starts twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
from sqlalchemy import make_url

from chassis.embedded.state import StateDirectory, free_port
from cli.stack.errors import PortTaken
from cli.stack.health import health
from cli.stack.layout import DEFAULT_PORTS, Layout
from tests.conftest import Servers
from tests.e2e.stacks import ANY_PORTS, GONE_SECONDS, READY_SECONDS, Up, alive, environment, until, up, upline

APPLY = ("apply", "programs/three-levels.yaml", "--json")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the module: each test starts on what the one before left."""
    return Path(tmp_path_factory.mktemp("state")) / "upline"


def serving(stack: Up) -> bool:
    """Whether every service says so."""
    return all(health(address) == "SERVING" for address in stack.published["services"].values())


def test_it_comes_up_and_stops_cleanly(state: Path) -> None:
    with up(state) as stack:
        assert serving(stack)
        for address in stack.published["services"].values():
            assert upline("health", address, state=state).stdout == "SERVING\n"
        children = stack.children()
        assert len(children) == 6, children
        assert stack.stop() == 0
        assert not any(alive(pid) for pid in children)
    assert not (state / "stack.json").exists()


def test_metrics_of_every_process_are_published_where_asked_for(state: Path) -> None:
    first = free_port()
    with up(state, "--metrics-port", str(first)) as stack:
        ports = stack.published["metrics_ports"]
        assert ports == {"attribution": first, "rewards": first + 1, "notify": first + 2, "redirect": first + 3}
        for port in ports.values():
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                assert b"upline_rpc_seconds" in answer.read()
        assert f"http://127.0.0.1:{first}/metrics" in stack.log.read_text()
        stack.stop()


def test_a_command_without_a_stack_says_that_it_starts_one_and_how_to_keep_one(state: Path) -> None:
    audit = upline("audit", "--json", state=state)
    assert f"no stack runs on {state}: starting one for this command" in audit.stderr
    assert "`upline up --state" in audit.stderr


def test_kill_9_takes_every_child_along_and_the_next_start_keeps_everything(state: Path) -> None:
    with up(state) as stack:
        assert '"changed": true' in upline(*APPLY, state=state).stdout
        children = stack.children()
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        until(lambda: not any(alive(pid) for pid in children), GONE_SECONDS)
    with up(state) as stack:
        assert '"changed": false' in upline(*APPLY, state=state).stdout
        stack.stop()


def test_a_second_stack_on_the_same_directory_is_refused(state: Path) -> None:
    with up(state) as stack:
        second = upline("up", *ANY_PORTS, state=state, check=False)
        assert second.returncode == 1
        assert "in use by another stack" in second.stderr
        assert "--state" in second.stderr
        assert serving(stack)
        stack.stop()


def test_whatever_is_killed_comes_back_where_it_was(state: Path) -> None:
    with up(state, "--workers", "2") as stack:
        words = [word for each in stack.children().values() for word in each.split()]
        assert sorted(word for word in words if word.startswith("services.")) == [
            *("services.attribution", "services.attribution"),
            *("services.attribution.redirect_main", "services.attribution.redirect_main"),
            *("services.notify", "services.rewards", "services.rewards"),
        ]
        before = stack.published
        for word in ("bin/postgres", "nats-server", "services.notify"):
            killed = stack.child(word)
            os.kill(killed, signal.SIGKILL)
            until(
                lambda word=word, killed=killed: any(
                    word in command and pid != killed for pid, command in stack.children().items()
                ),
                READY_SECONDS,
            )  # type: ignore[misc]
        until(lambda: serving(stack) and _applied(state), READY_SECONDS)
        assert stack.published == before
        stack.stop()


def _applied(state: Path) -> bool:
    return upline(*APPLY, state=state, check=False).returncode == 0


def test_a_taken_port_is_refused_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = upline("up", *ANY_PORTS, "--rewards-port", str(port), state=tmp_path / "state", check=False)
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--rewards-port" in refused.stderr


def test_nothing_is_started_on_an_external_database_by_accident(tmp_path: Path) -> None:
    for command, wanted in [("audit", "--target"), ("up", "UPLINE_NATS_URL, UPLINE_ROLE_PASSWORD, UPLINE_SECRET")]:
        refused = subprocess.run(
            [sys.executable, "-m", "cli", command, "--state", str(tmp_path / "state")],
            env=environment() | {"UPLINE_DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/x"},
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
        assert refused.returncode == 2
        assert wanted in refused.stderr
        assert not (tmp_path / "state").exists()


def test_a_stack_of_which_no_service_starts_is_given_up_with_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli", "up", "--state", str(tmp_path / "state"), *ANY_PORTS]
    settings = environment() | {"UPLINE_SECRET": "too-short"}
    # Services are started four times before they are given up, with pauses that grow.
    patience = 4 * READY_SECONDS
    failed = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=patience, check=False)
    assert failed.returncode == 1
    assert "giving up, as attribution, rewards, notify, redirect cannot be started" in " ".join(failed.stderr.split())
    assert "UPLINE_SECRET: Value should have at least 32" in failed.stderr
    assert "too-short" not in failed.stderr
    assert "starting it again in 1 s" in failed.stdout


def test_a_service_that_dies_at_each_start_stops_no_other_one(state: Path) -> None:
    with up(state, settings={"UPLINE_NOTIFY_RETENTION_DAYS": "1"}) as stack:
        others = {name: address for name, address in stack.published["services"].items() if name != "notify"}
        assert {name: health(address) for name, address in others.items()} == dict.fromkeys(others, "SERVING")
        told = stack.log.read_text()
        assert "notify ended with code 1 (4 deaths in a row); the others go on" in told
        assert "UPLINE_NOTIFY_RETENTION_DAYS: " in told
        assert "without notify, which ended with code 1" in told
        answer = upline("doctor", "--json", state=state, check=False)
        checks = {each["check"]: each for each in json.loads(answer.stdout)["checks"]}
        assert not checks["process notify"]["ok"]
        assert "UPLINE_NOTIFY_RETENTION_DAYS" in checks["process notify"]["found"]
        assert "logs/notify.log" in checks["process notify"]["advice"]
        assert checks["attribution"]["ok"]
        assert checks["rewards"]["ok"]
        assert stack.stop() == 0
    refused = upline(
        "audit", "--json", state=state, check=False, settings={"UPLINE_NOTIFY_RETENTION_DAYS": "1"}
    )  # a stack for one command starts whole or not at all
    assert refused.returncode == 1
    assert "UPLINE_NOTIFY_RETENTION_DAYS: " in refused.stderr


def test_a_service_that_is_killed_again_and_again_stops_no_other_one_and_comes_back(state: Path) -> None:
    with up(state) as stack:
        others = {pid for pid, command in stack.children().items() if "services.notify" not in command}
        killed: set[int] = set()
        while len(killed) < 6:
            for pid in _processes(stack, "services.notify") - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            assert stack.process.poll() is None, stack.log.read_text()
            time.sleep(0.1)
        until(lambda: "6 deaths in a row); the others go on" in stack.log.read_text(), READY_SECONDS)
        told = "was killed by signal 9 (6 deaths in a row)"
        until(lambda: stack.published["failing"].get("notify", "").startswith(told), READY_SECONDS)
        assert others <= stack.children().keys()
        until(lambda: serving(stack), READY_SECONDS)
        until(lambda: stack.published["failing"] == {}, READY_SECONDS)
        until(lambda: "notify is well again" in stack.log.read_text(), READY_SECONDS)
        assert stack.stop() == 0


def _processes(stack: Up, word: str) -> set[int]:
    return {pid for pid, command in stack.children().items() if word in command}


def test_metrics_ports_that_are_in_the_way_are_refused() -> None:
    taken = free_port()
    layout = Layout(ports={**dict.fromkeys(DEFAULT_PORTS, 0), "redirect": taken}, metrics_port=taken - 1)
    with pytest.raises(PortTaken, match=r"once for the metrics of rewards; choose another --metrics-port"):
        layout.resolve()
    with pytest.raises(PortTaken, match=r"metrics of rewards would need port 65536"):
        Layout(ports=dict.fromkeys(DEFAULT_PORTS, 0), metrics_port=65_535).resolve()


def test_the_same_port_twice_is_refused() -> None:
    with pytest.raises(PortTaken, match="--rewards-port"):
        Layout(ports=dict.fromkeys(DEFAULT_PORTS, 0) | {"attribution": 47_101, "rewards": 47_101}).resolve()


def test_the_doctor_finds_a_running_stack_well(state: Path) -> None:
    with up(state) as stack:
        answer = upline("doctor", "--json", state=state)
        assert '"ok": true' in answer.stdout
        assert '"check": "sync_interval", "ok": true, "found": "always"' in answer.stdout
        assert '"check": "redirect", "ok": true, "found": "SERVING"' in answer.stdout
        stack.stop()


def test_the_doctor_looks_at_services_and_servers_that_the_environment_names(state: Path, tmp_path: Path) -> None:
    with up(state) as stack:
        published = stack.published
        password = json.loads((state / "secrets.json").read_text())["database_password"]
        database_url = f"postgresql://upline:{password}@127.0.0.1:{published['postgres_port']}/upline"
        settings = {f"UPLINE_{name.upper()}_ADDR": address for name, address in published["services"].items()} | {
            "UPLINE_REDIRECT_ADDR": published["redirect_url"].removeprefix("http://"),
            "UPLINE_NATS_MONITOR_URL": published["nats_monitor_url"],
            "UPLINE_DATABASE_URL": database_url,
        }
        answer = json.loads(upline("doctor", "--json", state=tmp_path / "none", settings=settings).stdout)
        found = {each["check"]: each["found"] for each in answer["checks"]}
        assert (found["rewards"], found["sync_interval"], found["dead letters of notify"]) == (
            "SERVING",
            "always",
            "none",
        )
        assert "tables of attribution" in found
        assert not (tmp_path / "none").exists()
        assert found["redirect"] == "SERVING"
        wrong = settings | {
            "UPLINE_NOTIFY_ADDR": "127.0.0.1:1",
            "UPLINE_REDIRECT_ADDR": "127.0.0.1:1",
            "UPLINE_DATABASE_URL": f"{database_url}x",
        }
        result = upline("doctor", "--json", state=tmp_path / "none", settings=wrong, check=False)
        assert result.returncode == 1
        assert {each["check"] for each in json.loads(result.stdout)["checks"] if not each["ok"]} == {
            "notify",
            "redirect",
            "database",
        }
        stack.stop()


def test_migrate_serves_an_external_database(servers: Servers) -> None:
    url = make_url(servers.postgres.url)
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        conn.execute("CREATE DATABASE elsewhere")
    settings = {
        "UPLINE_DATABASE_URL": url.set(database="elsewhere").render_as_string(hide_password=False),
        "UPLINE_ROLE_PASSWORD": "suite-role-password",
    }
    command = [sys.executable, "-m", "cli", "migrate"]
    first = subprocess.run(command, env=environment() | settings, capture_output=True, text=True, check=True)
    second = subprocess.run(command, env=environment() | settings, capture_output=True, text=True, check=True)
    assert first.stdout.count("migrated from nothing") == 3
    assert second.stdout.count("already") == 3
    missing = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert "UPLINE_DATABASE_URL" in missing.stderr


def test_a_state_directory_is_locked_by_its_first_user(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    try:
        refused = upline("apply", "programs/uds.yaml", state=tmp_path, check=False)
        assert refused.returncode == 1
        assert "in use by another stack" in refused.stderr
    finally:
        directory.close()
