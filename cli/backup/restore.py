"""Restores a backup into an empty database: all of it, checked by its totals, or nothing."""

import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from chassis.migrate import is_known, migrate, role_name
from cli.backup import totals
from cli.backup.archive import Archive
from cli.backup.database import BackupDatabase
from cli.backup.dump import fingerprint
from cli.backup.stages import TellStage
from cli.backup.tools import PostgresTools, find_tools
from cli.backup.totals import Connection, Totals
from cli.errors import CommandFailed
from cli.stack.layout import SERVICES

# Under their old ids a broker that had them in the last minutes would take them for those, and drop them.
_PUBLISH_AGAIN = "UPDATE {}.outbox SET publish_time = NULL, message_id = gen_random_uuid()::text"
_CONNECTED = """
    SELECT DISTINCT usename::text FROM pg_stat_activity WHERE usename = ANY (%s) AND datname = current_database()
"""
SHOWN = 20
OUTBOXES = ("attribution", "rewards")


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore."""

    moment: str
    """The moment of the backup."""
    tables: int
    rows: int
    migrations: list[str]
    """The lines that the migration told."""
    published_again: dict[str, int]
    """The number of batches of events of the last days that are published again, by service. A batch that was handled
    before changes nothing."""
    warnings: list[str] = field(default_factory=list)


def restore_backup(
    database: BackupDatabase, stream: IO[bytes], name: str, tools_folder: Path | None, tell: TellStage
) -> RestoreResult:
    """Restores what `stream` holds. Raises CommandFailed, and leaves the database as empty as it was, if it cannot."""
    backup = Archive(stream, name)
    before = Totals(**backup.manifest["totals"])
    _refuse_newer(backup.manifest["revisions"])
    with psycopg.connect(database.url, autocommit=True, connect_timeout=10) as conn:
        tools = find_tools(conn.info.server_version // 10_000, tools_folder)
        _refuse_in_use(conn)
        _refuse_full(conn)
        _remove(conn)
        try:
            _load(tools, database.url, backup, tell)
            tell("comparing with what there was")
            _refuse_differences("what was restored is not what there was", before.differences(totals.read_totals(conn)))
        except BaseException:
            _remove(conn)
            raise
        tell("migrating")
        lines = migrate(database.url, list(SERVICES), database.role_password)
        changed = before.money_differences(Totals({}, totals.read_accounts(conn)))
        _refuse_differences("the migration changed what is on accounts", changed)
        tell("publishing what may not have been settled")
        again = {each: conn.execute(_PUBLISH_AGAIN.format(each).encode()).rowcount for each in OUTBOXES}
        tell("gathering statistics for the planner")
        for schema, table in totals.list_tables(conn):
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table)))
    return RestoreResult(
        backup.manifest["moment"], len(before.tables), before.rows, lines, again, _warnings(backup.manifest, database)
    )


def verify_backup(stream: IO[bytes], name: str) -> None:
    """Reads a backup to its end. Raises CommandFailed if it is damaged or not all there."""
    for _part in Archive(stream, name).dump():
        pass


def _load(tools: PostgresTools, url: str, backup: Archive, tell: TellStage) -> None:
    # The dump is read in one transaction: whatever goes wrong, nothing is there.
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    tell("restoring")
    with (
        tools.run("pg_restore", url, *arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process,
        closing(_input(process)) as target,
    ):
        size = 0
        for part in backup.dump():
            target.write(part)
            size += len(part)
            tell(f"restoring: {size / 1e6:,.0f} MB", passing=True)


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    if process.stdin is None:
        raise TypeError("the program has no input")
    return process.stdin


def _refuse_differences(what: str, differences: list[str]) -> None:
    if differences:
        more = [f"and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
        raise CommandFailed("\n".join([f"{what}:", *differences[:SHOWN], *more]))


def _refuse_newer(revisions: dict[str, str]) -> None:
    unknown = [f"{service} {revision}" for service, revision in revisions.items() if not is_known(service, revision)]
    if unknown:
        raise CommandFailed(
            f"the backup is of a newer version, at revisions that this one does not know ({', '.join(unknown)}):"
            " restore it with the version that made it, or a later one"
        )


def _refuse_in_use(conn: Connection) -> None:
    roles = [role_name(each) for each in SERVICES]
    rows = conn.execute(
        "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE usename = ANY (%s)", [roles]
    ).fetchall()
    if rows:
        names = ", ".join(sorted(name for (name,) in rows))
        raise CommandFailed(f"services are connected to this database ({names}): stop them first, and start them after")


def _refuse_full(conn: Connection) -> None:
    full = [
        f"{schema}.{table}"
        for schema, table in totals.list_tables(conn)
        if table != "alembic_version" and _has_rows(conn, schema, table)
    ]
    if full:
        some = ", ".join(full[:3]) + (" and others" if len(full) > 3 else "")
        raise CommandFailed(
            f"the database is not empty ({some} have rows): a restore never replaces what is there. Restore into an"
            " empty database: a fresh directory with --state, or one that UPLINE_DATABASE_URL names"
        )


def _has_rows(conn: Connection, schema: str, table: str) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(schema, table))
    row = conn.execute(query).fetchone()
    return bool(row and row[0])


def _remove(conn: Connection) -> None:
    """The services' schemas, of which it is known that nothing was there before this restore."""
    for schema in totals.existing_schemas(conn):
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def _warnings(manifest: dict[str, Any], database: BackupDatabase) -> list[str]:
    known: Iterable[str] = (manifest["secret_fingerprint"], fingerprint(database.secret))
    if all(known) and len(set(known)) > 1:
        return [
            "this installation has another secret than the one that was kept: click tokens out there count for nothing"
            " here. Before the services start, put the kept one in place: UPLINE_SECRET, or `secret` in secrets.json of"
            " the state directory, where the passwords beside it stay as they are"
        ]
    return []
