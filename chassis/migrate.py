"""Alembic migrations: one history a service, in the service's own schema, run by the owner of the database.

Roles come before them and privileges after, every time: a database that was restored from a dump is at the newest
revision already, and has neither.
"""

import random
import time
from functools import cache
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected, InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, create_engine, pool, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from chassis import privileges
from chassis.database import Database, driver_url
from chassis.errors import MigrationRefused

ROOT = Path(__file__).resolve().parent.parent
ADVISORY_LOCK = 7_163_948_201
"""The key of the lock behind which processes that migrate at once do it one after the other."""
LOCK_TIMEOUT_MS = 3_000
"""The longest wait for a table; the transactions of the services take milliseconds."""
ATTEMPTS = 40
"""The most tries: with the pauses, a minute if every try ends in a deadlock, which PostgreSQL finds after a second."""
PAUSE_SECONDS = 0.5
IN_THE_WAY = (DeadlockDetected, LockNotAvailable)
"""Errors of a transaction whose locks met those of another."""


def role_name(service: str) -> str:
    """The database role a service runs under; it owns nothing."""
    return f"upline_{service}"


def migrate(admin_url: str, services: list[str], role_password: str) -> list[str]:
    """Creates roles and schemas where they are missing, brings each service's tables up to date and grants the
    privileges that its role lacks. Returns lines for people.

    All of it happens or nothing does. Services may go on meanwhile: where their locks and these are in each other's
    way, it is tried again. Raises MigrationRefused.
    """
    engine = create_engine(driver_url(admin_url), poolclass=pool.NullPool, hide_parameters=True)
    try:
        for _ in range(ATTEMPTS - 1):
            try:
                return _migrate(engine, services, role_password)
            except OperationalError as error:
                if not isinstance(error.orig, IN_THE_WAY):
                    raise
                time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads tries, guards nothing
        return _migrate(engine, services, role_password)
    except OperationalError as error:
        if isinstance(error.orig, IN_THE_WAY):
            raise MigrationRefused(
                f"the tables are in use: {ATTEMPTS} tries did not get their locks, and nothing was changed."
                " Look for long transactions in pg_stat_activity, and run `upline migrate` again"
            ) from error
        raise
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise MigrationRefused(_refusal(error.orig)) from error
        raise
    finally:
        engine.dispose()


def _migrate(engine: Engine, services: list[str], role_password: str) -> list[str]:
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        # Whoever waits for a table that this waits for waits behind it: so it does not wait for long.
        conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        for service in services:
            _create_role(conn, service, role_password)
        return [f"{service}: {_upgrade(conn, service)}" for service in services]


def _refusal(error: InsufficientPrivilege) -> str:
    return (
        f"{error.diag.message_primary}: `upline migrate` needs the right to create roles, and to own what is in the"
        " schemas. After a restore under another name, run it as that name, or give the objects back with REASSIGN"
        " OWNED"
    )


@cache
def head_revision(service: str) -> str:
    """The newest revision in the code."""
    head = ScriptDirectory.from_config(_config(service)).get_current_head()
    if head is None:
        raise RuntimeError(f"{service} has no migrations")
    return head


@cache
def _revisions(service: str) -> frozenset[str]:
    """Every revision in the code."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config(service)).walk_revisions())


def is_known(service: str, revision: str) -> bool:
    """Whether the code has this revision; one that it has not is of a newer version."""
    return revision in _revisions(service)


async def assert_migrated(database: Database, service: str) -> None:
    """Raises if the service cannot work with the database: its tables are older than the code, or its role may not use
    them.

    A revision that the code does not know is a newer one, and a newer one leaves the code before it running: so the
    services of the version before go on serving while an upgrade takes their place, one by one.
    """
    async with database.transaction() as conn:
        lacking = await conn.run_sync(privileges.missing, service)
        found = None
        if not any(each.name in (service, "alembic_version") for each in lacking):
            found = (await conn.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    if found is not None and found != (wanted := head_revision(service)) and is_known(service, found):
        raise RuntimeError(
            f"database of {service} is at revision {found}, the code needs {wanted}: run `upline migrate`"
        )
    if lacking:
        raise RuntimeError(
            f"{role_name(service)} lacks {len(lacking)} of its privileges in the database, such as {lacking[0]},"
            " or what they are for is not there: run `upline migrate`"
        )
    if found is None:
        raise RuntimeError(f"database of {service} was never migrated: run `upline migrate`")


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    return config


def _create_role(conn: Connection, service: str, password: str) -> None:
    role = role_name(service)
    exists = conn.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar()
    verb = "ALTER" if exists else "CREATE"
    # A verifier instead of the password: the statement may be logged by the server, and stands in its statistics.
    verifier = _libpq(conn).encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    conn.exec_driver_sql(f"{verb} ROLE {role} LOGIN PASSWORD '{verifier}'", execution_options={"no_parameters": True})
    conn.execute(text(f"CREATE SCHEMA IF NOT EXISTS {service}"))


def _libpq(conn: Connection) -> "psycopg.pq.abc.PGconn":
    raw = conn.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError(f"expected a psycopg connection, got {type(raw).__name__}")
    return raw.pgconn


def _upgrade(conn: Connection, service: str) -> str:
    """Runs the migrations of one service in the caller's transaction; returns what happened."""
    config = _config(service)
    script = ScriptDirectory.from_config(config)
    conn.execute(text(f"SET LOCAL search_path TO {service}"))
    before = MigrationContext.configure(conn, opts={"version_table_schema": service}).get_current_revision()

    def steps(revision: tuple[str, ...] | str, _context: MigrationContext) -> list[object]:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type,return-value]

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=conn, version_table_schema=service, transactional_ddl=True)
        environment.run_migrations()
    repair = ROOT / "services" / service / "migrations" / "repair.sql"
    if repair.exists():
        conn.exec_driver_sql(repair.read_text(), execution_options={"no_parameters": True})
    granted = privileges.grant(conn, service, role_name(service))
    after = head_revision(service)
    if before != after:
        return f"migrated from {before or 'nothing'} to {after}"
    repaired = f"; {len(granted)} privileges of {role_name(service)} were missing and are granted" if granted else ""
    return f"at {after} already{repaired}"
