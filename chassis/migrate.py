"""Alembic migrations: one history a service, in the service's own schema, run by the owner of the database."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, pool, text

from chassis.database import Database, driver_url

ROOT = Path(__file__).resolve().parent.parent
ADVISORY_LOCK = 7_163_948_201
"""Two processes that migrate at once do it one after the other."""


def role_name(service: str) -> str:
    """The database role a service runs under; it owns nothing."""
    return f"upline_{service}"


def migrate(admin_url: str, services: list[str], role_password: str) -> list[str]:
    """Creates roles and schemas where missing and brings each service's tables up to date; returns lines for people."""
    engine = create_engine(driver_url(admin_url), poolclass=pool.NullPool)
    lines = []
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        for service in services:
            _create_role(conn, service, role_password)
            lines.append(f"{service}: {_upgrade(conn, service)}")
    engine.dispose()
    return lines


def head_revision(service: str) -> str:
    """The newest revision in the code."""
    head = ScriptDirectory.from_config(_config(service)).get_current_head()
    if head is None:
        raise RuntimeError(f"{service} has no migrations")
    return head


async def assert_migrated(database: Database, service: str) -> None:
    """Raises if the database is not at the revision the code was written for."""
    async with database.transaction() as conn:
        found = (await conn.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    if found != (wanted := head_revision(service)):
        raise RuntimeError(
            f"database of {service} is at revision {found}, the code needs {wanted}: run `upline migrate`"
        )


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    return config


def _create_role(conn: Connection, service: str, password: str) -> None:
    role = role_name(service)
    exists = conn.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar()
    quoted = password.replace("'", "''")
    verb = "ALTER" if exists else "CREATE"
    conn.execute(text(f"{verb} ROLE {role} LOGIN PASSWORD '{quoted}'").execution_options(no_parameters=True))
    conn.execute(text(f"CREATE SCHEMA IF NOT EXISTS {service}"))
    conn.execute(text(f"GRANT USAGE ON SCHEMA {service} TO {role}"))


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
    conn.execute(text(f"GRANT SELECT ON {service}.alembic_version TO {role_name(service)}"))
    after = head_revision(service)
    return f"at {after} already" if before == after else f"migrated from {before or 'nothing'} to {after}"
