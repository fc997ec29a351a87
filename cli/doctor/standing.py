"""Checks of what waits in a deployment, and for how long.

The database and the broker are asked, which know it of all processes together, with the statements that the services'
metrics go by. So it is told wherever the doctor reaches the two, as it does in the container of the command line and
beside `upline up`: with any number of processes, without a metrics port, and also where no process answers. Each
process' own work is what its health tells.
"""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import SHARES, Database, Work
from chassis.measuring import MOST_COUNTED, Standing, read_dead_letters, read_outbox
from chassis.topology import CLICKS, CONVERSIONS, PEOPLE, REWARDS
from cli.doctor.result import CheckResult

if TYPE_CHECKING:
    from services.rewards.domain.wallet.payout import PayoutState
    from services.rewards.store.audits.checkpoint import Checkpoint

PUBLISHING = ("attribution", "rewards")
"""The services that have an outbox."""
OUTBOX_SECONDS = (30.0, 120.0)
"""The ages of an outbox that are worth a look, and that are bad: it is empty within a second where all is well."""
MANY_MESSAGES = 1_000
"""So many messages behind are worth a look: up to half a million events."""
HOLD_SECONDS = 600.0
"""A hold that is overdue for so long is bad; each is told that is over a minute late."""
DEFERRED_SECONDS = (600.0, 86_400.0)
"""The ages of a fact that waits for its program's turn which are worth a look, and which are bad: a refund of it may
come at any time, and its people ask where their reward is."""
AUDIT_SECONDS = 3_600.0
"""The last clean audit is worth a look when it was so long ago; one is made every five minutes."""
AUDIT_ADVICE = "run `upline audit`, and look for `audit finding` and `job failed` in the log of rewards"
PAYOUT_DAYS = 3.0
"""A payout that has waited for longer than a weekend is worth a look."""
MOST_CONNECTIONS = 0.8
"""Such a part of the connections that the database allows is worth a look."""
LONG_SECONDS = 300.0
"""A transaction that has been open for so long is worth a look; no call or batch takes half of it."""
NAMED = 3
"""So many programs are named."""
MONITOR_SECONDS = 3.0

_SESSIONS = text("""
    SELECT application_name AS name, count(*) AS number, count(*) FILTER (WHERE state <> 'idle') AS busy,
        coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS open_seconds
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1
""")
_MOST_SESSIONS = text("SELECT current_setting('max_connections')::int")


def check_standing(database_url: str) -> list[CheckResult]:
    """Checks of all that waits, as the database says. Raises if it does not answer, or is not migrated."""
    return asyncio.run(_check(database_url))


async def _check(database_url: str) -> list[CheckResult]:
    results: list[CheckResult] = []
    for service in ("attribution", "rewards", "notify"):
        database = Database(database_url, service, Work.PROBES, "doctor")
        try:
            async with database.transaction() as conn:
                if service in PUBLISHING:
                    results.append(_outbox(service, await read_outbox(conn)))
                results.append(_dead_letters(service, await read_dead_letters(conn)))
                if service == "rewards":
                    results += await _ledger(conn)
                    results += await _sessions(conn)
                if service == "notify":
                    results.append(await _webhooks(conn))
        finally:
            await database.close()
    return results


def _outbox(service: str, found: Standing) -> CheckResult:
    look, bad = OUTBOX_SECONDS
    return CheckResult(
        f"outbox of {service}",
        found.age_seconds <= bad,
        f"{_number(found.number)} events wait, the oldest for {_time(found.age_seconds)}" if found.number else "empty",
        f"events do not leave for the broker: is it up? Look for `outbox relay failed` in the log of {service}",
        found.age_seconds > look,
    )


def _dead_letters(service: str, found: Mapping[str, Standing]) -> CheckResult:
    count = sum(each.number for each in found.values())
    return CheckResult(f"dead letters of {service}", not count, str(count or "none"), "upline dead-letters list")


async def _ledger(conn: AsyncConnection) -> list[CheckResult]:
    from services.rewards.store import (  # here, as they bring the domain, which other checks do not need
        deferred,
        standing,
    )
    from services.rewards.store.audits import checkpoint

    now = datetime.now(UTC)
    return [
        _audit(await checkpoint.read(conn), now),
        _holds(await standing.overdue_holds(conn, now)),
        _payouts(await standing.waiting_payouts(conn, now)),
        _deferred(await deferred.standing(conn)),
    ]


async def _webhooks(conn: AsyncConnection) -> CheckResult:
    from services.notify.store import deliveries, webhooks  # as above

    parked, off = await deliveries.parked(conn), await webhooks.switched_off(conn)
    told = []
    if parked:
        told.append(f"{_number(sum(each.number for each in parked.values()))} deliveries parked of {_most(parked)}")
    if off:
        told.append(f"{sum(off.values())} webhooks switched off of {', '.join(sorted(off)[:NAMED])}")
    return CheckResult(
        "webhooks",
        True,
        "; ".join(told) or "nothing is parked",
        "ListWebhooks and ListDeliveries say why; mend the receiver, then UpdateWebhook and RedeliverDelivery",
        bool(told),
    )


def _deferred(found: Mapping[str, Standing]) -> CheckResult:
    oldest = max((each.age_seconds for each in found.values()), default=0.0)
    look, bad = DEFERRED_SECONDS
    number = _number(sum(each.number for each in found.values()))
    return CheckResult(
        "slow programs",
        oldest <= bad,
        f"{number} facts wait, the oldest for {_time(oldest)}, of {_most(found)}" if found else "none",
        "their plans take long for an order: ask for plans without conditions on each line or hundreds of rules",
        oldest > look,
    )


def _most(found: Mapping[str, Standing]) -> str:
    """The programs that have the most, and how many there are besides."""
    most = sorted(found, key=lambda program_id: (-found[program_id].number, program_id))
    return ", ".join(most[:NAMED]) + (f" and {len(most) - NAMED} more" if len(most) > NAMED else "")


def _audit(found: "Checkpoint", now: datetime) -> CheckResult:
    if found.clean_time is None:
        # The time of the next one is said when one has ended.
        was = "none was clean: the ledger is wrong" if found.due_time else "none has ended yet"
        return CheckResult("audit", found.due_time is None, was, AUDIT_ADVICE, True)
    seconds = max(0.0, (now - found.clean_time).total_seconds())
    again = "; the next one reads everything, as after one that was not clean" if found.horizon is None else ""
    return CheckResult(
        "audit",
        True,
        f"the last clean one began {_time(seconds)} ago{again}",
        AUDIT_ADVICE,
        bool(again) or seconds > AUDIT_SECONDS,
    )


def _holds(found: Mapping[str, Standing]) -> CheckResult:
    oldest = max((each.age_seconds for each in found.values()), default=0.0)
    programs = _most(found)
    number = _number(sum(each.number for each in found.values()))
    return CheckResult(
        "holds",
        oldest <= HOLD_SECONDS,
        f"{number} are overdue, the oldest by {_time(oldest)}, in {programs}" if found else "none is overdue",
        "rewards are not released: look for `release holds` and `release waiting holds` in the log of rewards",
        bool(found),
    )


def _payouts(found: "Mapping[tuple[PayoutState, str], Standing]") -> CheckResult:
    told, late, failed = [], False, False
    for state in sorted({state for state, _ in found}):
        of_state = [each for (found_state, _), each in found.items() if found_state is state]
        oldest = max(each.age_seconds for each in of_state)
        name = state.name.lower()
        told.append(f"{_number(sum(each.number for each in of_state))} {name}, the oldest for {_time(oldest)}")
        late, failed = late or oldest > PAYOUT_DAYS * 86_400, failed or name == "failed"
    return CheckResult(
        "payouts",
        True,
        "; ".join(told) or "none waits",
        "`upline payouts list PROGRAM --state-is STATE` tells which; those that failed wait for `upline payouts retry`"
        " or `upline payouts cancel`",
        late or failed,
    )


async def _sessions(conn: AsyncConnection) -> list[CheckResult]:
    rows = (await conn.execute(_SESSIONS)).all()
    allowed = (await conn.execute(_MOST_SESSIONS)).scalar_one()
    number = sum(row.number for row in rows)
    ours = [(each, work, row) for row in rows for each, work in [_class_of(row.name)] if work]
    # Each process has one connection to look whether the database is right, so these tell how many there are.
    processes = {each: row.number for each, work, row in ours if work is Work.PROBES}
    taken = [
        f"{each} {work}"
        for each, work, row in ours
        if work is not Work.PROBES and row.busy >= SHARES[work].connections * processes.get(each, 1)
    ]
    slow = [f"{row.name} for {_time(row.open_seconds)}" for _, _, row in ours if row.open_seconds > LONG_SECONDS]
    return [
        CheckResult(
            "connections",
            True,
            f"{number} of {allowed}" + (f"; all are taken of {', '.join(taken)}" if taken else ""),
            "raise max_connections, run fewer processes, or find out who else connects (docs/guides/operate.md,"
            " Connections to the database); for what takes all of a class, look at pg_stat_activity",
            bool(taken) or number > MOST_CONNECTIONS * allowed,
        ),
        CheckResult(
            "transactions",
            True,
            f"open in {', '.join(slow)}" if slow else "none has been open for long",
            "look in pg_stat_activity at what it does or waits for; an audit or a report of much may take minutes",
            bool(slow),
        ),
    ]


def _class_of(name: str) -> tuple[str, Work | None]:
    """The process and the class of work whose connections the database knows under a name."""
    kind, _, rest = name.partition("-")
    process, _, work = rest.rpartition("-")
    return process, Work(work) if kind == "upline" and process != "doctor" and work in set(Work) else None


def check_lag(nats_monitor_url: str) -> list[CheckResult]:
    """How far consumers are behind, as the broker's monitor says. Raises OSError or ValueError if it says nothing."""
    url = f"{nats_monitor_url}/jsz?streams=true&consumers=true"
    with urllib.request.urlopen(url, timeout=MONITOR_SECONDS) as answer:  # noqa: S310 - the stack's own address
        accounts = json.load(answer).get("account_details") or []
    streams = [stream for account in accounts for stream in account.get("stream_detail") or []]
    behind = {
        consumer["name"]: consumer.get("num_pending", 0) + consumer.get("num_ack_pending", 0)
        for stream in streams
        for consumer in stream.get("consumer_detail") or []
    }
    specs = (CLICKS, CONVERSIONS, PEOPLE, REWARDS)
    return [_lag(durable, behind.get(durable)) for spec in specs for durable in spec.consumers]


def _lag(durable: str, messages: int | None) -> CheckResult:
    return CheckResult(
        f"lag of {durable}",
        messages is not None,
        "the broker has no such consumer" if messages is None else f"{messages} messages wait",
        "services make their streams and consumers themselves: look for `cannot create stream` in their logs"
        if messages is None
        else "more comes than is worked on: start more processes, or look at what the database waits for",
        messages is not None and messages > MANY_MESSAGES,
    )


def _number(number: int) -> str:
    return f"{number:,}{' or more' if number >= MOST_COUNTED else ''}"


def _time(seconds: float) -> str:
    """A time that has passed, as people tell it."""
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
