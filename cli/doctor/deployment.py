"""Checks of services and servers that run: those of the stack on a state directory, or those the environment names."""

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from chassis.embedded import nats, postgres
from chassis.migrate import head_revision
from chassis.topology import BROKER_NAME, CONSUMING_NAME
from cli.doctor.result import CheckResult
from cli.doctor.standing import check_lag, check_standing
from cli.stack.health import health, redirect_health
from cli.stack.layout import REDIRECT, SERVICES, ExternalServers
from cli.stack.services import LONGEST_PAUSE_SECONDS

MAX_CLOCK_SKEW_SECONDS = 2.0
MONITOR_SECONDS = 3.0
OWNERS = frozenset({"attribution", "rewards"})
"""The services that compare what they recorded with what the reader of their stream has settled."""
STANDSTILL_ADVICE = (
    "keep the end of {} for whoever mends it, then restart that process: what it has in hand goes to another, or comes"
    " again (docs/guides/operate.md, Events that get nowhere)"
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The addresses of services and servers that run already."""

    services: dict[str, str]
    """The address, `host:port`, of each service."""
    logs: str
    """The place of a service's log, for people; `{}` stands for the service."""
    restart: str
    """The way to start a service or server again, for people."""
    nats_monitor_url: str
    """The address of the broker's monitor; empty where nobody named it."""
    database_url: str
    """The database's URL, as its owner; empty where nobody named it."""
    redirect_url: str = ""
    """The address of the redirect; empty where nobody named it."""
    failing: dict[str, str] = field(default_factory=dict)
    """The processes that keep dying, each with how it died last."""


def embedded_deployment(stack: dict[str, Any], state: Path) -> Deployment:
    """The stack that `upline up` runs."""
    database_url = ""
    if port := stack.get("postgres_port"):
        password = json.loads((state / "secrets.json").read_text())["database_password"]
        database_url = f"postgresql://upline:{password}@127.0.0.1:{port}/{postgres.DATABASE}"
    return Deployment(
        stack["services"],
        "logs/{}*.log in the state directory",
        "restart the stack",
        stack.get("nats_monitor_url", ""),
        database_url,
        stack.get("redirect_url", ""),
        stack.get("failing", {}),
    )


def named_deployment(services: dict[str, str], external: ExternalServers) -> Deployment:
    """The deployment that the environment names, as in the container of the command line."""
    redirect = os.environ.get("UPLINE_REDIRECT_ADDR", "")
    return Deployment(
        services,
        "the log of {}",
        "restart the broker",
        external.nats_monitor_url,
        external.database_url,
        f"http://{redirect}" if redirect else "",
    )


def check_services(deployment: Deployment) -> list[CheckResult]:
    results = [
        CheckResult(
            f"process {name}",
            False,
            how,
            f"the end of logs/{name}.log in the state directory says why; it is started again after pauses of up to"
            f" {LONGEST_PAUSE_SECONDS:.0f} s, so mend what it says and wait, or {deployment.restart}",
        )
        for name, how in deployment.failing.items()
    ]
    for name in SERVICES:
        answer = health(deployment.services[name])
        log = deployment.logs.format(name)
        results.append(CheckResult(name, answer == "SERVING", answer, f"look at {log}"))
        if (broker := health(deployment.services[name], name=BROKER_NAME)) == "NOT_SERVING":
            advice = f"the broker does not answer, or does not store: look for `not ready` in {log}"
            results.append(CheckResult(f"broker of {name}", False, broker, advice))
        elif answer == "SERVING":
            moves = health(deployment.services[name], name=CONSUMING_NAME) != "NOT_SERVING"
            found = "those that wait are worked on" if moves else "they wait, and none is settled"
            results.append(CheckResult(f"events of {name}", moves, found, STANDSTILL_ADVICE.format(log)))
    if deployment.redirect_url:
        answer = redirect_health(deployment.redirect_url)
        results.append(
            CheckResult(REDIRECT, answer == "SERVING", answer, f"look at {deployment.logs.format(REDIRECT)}")
        )
    return results


def check_broker(deployment: Deployment) -> list[CheckResult]:
    url = deployment.nats_monitor_url
    advice = (
        "set `sync_interval: always` in the jetstream block of the NATS configuration: without it a power failure loses"
        " acknowledged clicks"
    )
    if not url:
        return [
            CheckResult(
                "sync_interval",
                False,
                "unknown: nobody says where the broker's monitor is",
                "set UPLINE_NATS_MONITOR_URL",
            )
        ]
    try:
        # The address is the stack's own.
        with urllib.request.urlopen(f"{url}/varz", timeout=MONITOR_SECONDS) as answer:  # noqa: S310
            config = json.load(answer).get("jetstream", {}).get("config", {})
        lag = check_lag(url)
    except (urllib.error.URLError, OSError, ValueError) as error:
        return [CheckResult("sync_interval", False, f"the NATS monitor does not answer: {error}", deployment.restart)]
    always = bool(config.get("sync_always"))
    said = nats.stream_fault(url)
    return [
        CheckResult("sync_interval", always, "always" if always else "not always", advice),
        CheckResult(
            "streams",
            not said,
            said or "the broker has nothing to say against them",
            f"free disk space; then {deployment.restart}, unless the broker was started again by itself",
        ),
        *lag,
    ]


def _gaps(conn: psycopg.Connection[Any], service: str) -> CheckResult:
    row = conn.execute(f"SELECT count(*) FROM {service}.gap WHERE close_time IS NULL AND NOT set_aside".encode())
    count = (row.fetchone() or (0,))[0]
    return CheckResult(
        f"facts of {service} that were not settled",
        not count,
        str(count or "none"),
        f"{service}.gap names them; they are sent again (docs/guides/operate.md, What was recorded and not settled)",
    )


def check_database(deployment: Deployment) -> list[CheckResult]:
    if not deployment.database_url:
        found = "not looked at: UPLINE_DATABASE_URL does not name it; the services' readiness checks its tables"
        return [CheckResult("migrations", True, found)]
    results = []
    try:
        with psycopg.connect(deployment.database_url, connect_timeout=5) as conn:
            for service in SERVICES:
                row = conn.execute(f"SELECT version_num FROM {service}.alembic_version".encode()).fetchone()
                found, wanted = row[0] if row else "nothing", head_revision(service)
                results.append(
                    CheckResult(
                        f"tables of {service}",
                        found == wanted,
                        found,
                        f"the code needs {wanted}: run `upline migrate`, or start `upline up` again",
                    )
                )
                if service in OWNERS and found == wanted:
                    results.append(_gaps(conn, service))
            row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            skew = abs(float(row[0]) - time.time()) if row else 0.0
            results.append(
                CheckResult(
                    "database clock", skew < MAX_CLOCK_SKEW_SECONDS, f"{skew:.3f} s apart", "bring the clocks together"
                )
            )
        if all(each.ok for each in results if each.check.startswith("tables of")):
            results += check_standing(deployment.database_url)
    except (psycopg.Error, SQLAlchemyError) as error:
        advice = f"look at the database's log, or {deployment.restart}"
        results.append(CheckResult("database", False, str(error).strip(), advice))
    return results
