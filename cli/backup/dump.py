"""Takes a backup: totals and dump of the same moment, while services go on."""

import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import psycopg
from pydantic import SecretStr

from chassis.secrets import derive_key
from cli.backup import archive, totals
from cli.backup.archive import CountBytes
from cli.backup.database import BackupDatabase
from cli.backup.stages import TellStage
from cli.backup.tools import PostgresTools, find_tools
from cli.errors import CommandFailed
from cli.stack.layout import SERVICES

FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class BackupResult:
    """The result of a backup."""

    moment: str
    tables: int
    rows: int
    bytes: int
    """The length of the dump."""


def write_backup(
    database: BackupDatabase, file: Path | None, out: IO[bytes] | None, tools_folder: Path | None, tell: TellStage
) -> BackupResult:
    """Writes a backup into a file that is not there yet, or where there is none, into `out`. The file gets its name
    when it is complete, and its owner alone may read it."""
    if out is not None:
        return _write(database, out, tools_folder, tell)
    if file is None or file.exists():
        raise CommandFailed(f"{file} exists already: a backup never replaces another; choose another name")
    descriptor, name = tempfile.mkstemp(
        prefix=f".{file.name}.", suffix=".part", dir=file.parent
    )  # mkstemp lets nobody but the owner read it
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            result = _write(database, stream, tools_folder, tell)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return result


def fingerprint(secret: str) -> str:
    """A digest by which an installation's secret is known again; empty for no secret. It does not reveal the secret."""
    return derive_key(SecretStr(secret), "backup-fingerprint")[:FINGERPRINT_BYTES].hex() if secret else ""


def _write(database: BackupDatabase, out: IO[bytes], tools_folder: Path | None, tell: TellStage) -> BackupResult:
    with psycopg.connect(database.url, connect_timeout=10) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        tools = find_tools(conn.info.server_version // 10_000, tools_folder)
        if missing := set(SERVICES) - set(totals.existing_schemas(conn)):
            raise CommandFailed(f"the database has no {', no '.join(sorted(missing))}: nothing was ever kept there")
        snapshot = _single_text(conn, "SELECT pg_export_snapshot()")
        tell("counting what there is")
        found = totals.read_totals(conn)
        manifest = {
            "moment": datetime.now(UTC).isoformat(timespec="seconds"),
            "postgresql": _single_text(conn, "SHOW server_version"),
            "revisions": {
                each: _single_text(conn, f"SELECT version_num FROM {each}.alembic_version") for each in SERVICES
            },
            "secret_fingerprint": fingerprint(database.secret),
            "totals": asdict(found),
        }
        size = 0

        def count_bytes(bytes_so_far: int) -> None:
            nonlocal size
            size = bytes_so_far
            tell(f"dumping: {size / 1e6:,.0f} MB", passing=True)

        tell("dumping")
        _dump(tools, database.url, snapshot, out, manifest, count_bytes)
    return BackupResult(str(manifest["moment"]), len(found.tables), found.rows, size)


def _dump(
    tools: PostgresTools, url: str, snapshot: str, out: IO[bytes], manifest: dict[str, Any], count_bytes: CountBytes
) -> None:
    schemas = [f"--schema={each}" for each in SERVICES]
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", *schemas]
    with tools.run("pg_dump", url, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        archive.write_archive(out, manifest, cast(IO[bytes], process.stdout), lambda: process.wait() == 0, count_bytes)


def _single_text(conn: totals.Connection, query: str) -> str:
    row = conn.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""
