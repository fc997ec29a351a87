"""Every table has a stated life, and it is the one that the code keeps."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.clock import ManualClock
from chassis.retention import Life
from chassis.settings import ServiceSettings
from services.attribution import jobs as attribution_jobs
from services.attribution.settings import AttributionSettings
from services.notify import jobs as notify_jobs
from services.notify.settings import NotifySettings
from services.rewards import jobs as rewards_jobs
from services.rewards.settings import RewardsSettings

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("attribution", "rewards", "notify")
COMMON = ServiceSettings(database_url="-", nats_url="-", secret=SecretStr("s" * 32)).model_dump()
ROW = re.compile(r"^\| `([a-z]+)\.([a-z_]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
OWNER_DELETES = {"attribution.click", "rewards.dead_letter_fact", "notify.dead_letter_fact"}
"""Tables from which the owner's rights delete: a function that drops whole partitions, a foreign key."""


def stated() -> dict[str, tuple[str, str]]:
    """The life of each table and what ends it, as the page says."""
    page = (ROOT / "docs/reference/retention.md").read_text()
    return {f"{service}.{table}": (life, end) for service, table, life, end in ROW.findall(page)}


def there_are() -> set[str]:
    """The tables that the schema has."""
    found, service = set(), ""
    for line in (ROOT / "docs/reference/schema.sql").read_text().splitlines():
        if schema := re.match(r"CREATE SCHEMA (\w+);", line):
            service = schema[1]
        elif table := re.match(r"CREATE TABLE (\w+) \(", line):
            found.add(f"{service}.{table[1]}")
    return found


def lives(service: str) -> list[Life]:
    """The lives that the code keeps, each with a number of days of its own."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    common = COMMON | {"request_retention_days": 101}
    if service == "attribution":
        return attribution_jobs.lives(AttributionSettings(**common, share_retention_days=102))
    if service == "rewards":
        return rewards_jobs.lives(RewardsSettings(**common, wait_retention_days=103), clock)
    settings = NotifySettings(**common, notify_retention_days=104, delivery_retention_days=105)
    return notify_jobs.lives(settings, clock)


DAYS = {
    101: "`UPLINE_REQUEST_RETENTION_DAYS`",
    102: "`UPLINE_SHARE_RETENTION_DAYS`",
    103: "`UPLINE_WAIT_RETENTION_DAYS`",
    104: "`UPLINE_NOTIFY_RETENTION_DAYS`",
    105: "`UPLINE_DELIVERY_RETENTION_DAYS`",
    30: "30 days",
}


def test_every_table_has_a_life() -> None:
    assert stated().keys() == there_are()


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_said_to_be_swept_is_swept_in_that_time(service: str) -> None:
    swept = {f"{service}.{table}": life.days for life in lives(service) for table in life.tables}
    told = {table: life for table, (life, end) in stated().items() if table.startswith(service) and "swept" in end}
    assert swept.keys() == told.keys()
    for table, days in swept.items():
        assert DAYS[days] in told[table], table


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_delete_what_ends_and_nothing_else(service: str) -> None:
    granted = tomllib.loads((ROOT / f"services/{service}/migrations/privileges.toml").read_text())["tables"]
    deletable = {f"{service}.{table}" for table, rights in granted.items() if "DELETE" in rights}
    ends = {table for table, (life, _) in stated().items() if table.startswith(service) and life != "for ever"}
    assert deletable == ends - OWNER_DELETES


def test_an_inbox_is_kept_for_ever_unless_it_is_said_for_how_long() -> None:
    kept = notify_jobs.lives(NotifySettings(**COMMON), ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    assert "inbox_entry" not in {table for life in kept for table in life.tables}
