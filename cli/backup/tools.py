"""PostgreSQL's client programs, which make and read dumps: found, and run without a password on their command line."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chassis.embedded import postgres
from cli.errors import USAGE, CommandFailed

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class PostgresTools:
    """A folder with `pg_dump` and `pg_restore`."""

    folder: Path

    @contextmanager
    def run(self, name: str, url: str, *arguments: str, stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        """A program that works on a database, killed if the block is left before it ends. Raises CommandFailed with
        what it said if it fails."""
        where = conninfo_to_dict(url)
        password = where.pop("password", None)
        environment = dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})
        with tempfile.TemporaryFile() as messages:
            process = subprocess.Popen(  # noqa: S603 - the programs of the operator's choice
                [str(self.folder / name), "--no-password", "--dbname", make_conninfo("", **where), *arguments],
                env=environment,
                stdin=stdin,
                stdout=stdout,
                stderr=messages,
            )
            try:
                yield process
                code = process.wait()
            except BrokenPipeError:  # the program has ended already, and says why
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if code != 0:
                raise CommandFailed(f"{name} failed: {_last_lines(messages)}")


def find_tools(server_major: int, folder_given: Path | None) -> PostgresTools:
    """The programs in the folder that was given; else those of the embedded PostgreSQL or of PATH. Raises CommandFailed
    where there are none that are as new as the server: older ones cannot read it."""
    found: list[str] = []
    for folder in [folder_given] if folder_given else _known_folders():
        if (version := _major_version(folder / "pg_dump")) is None:
            continue
        if version >= server_major:
            return PostgresTools(folder)
        found.append(f"{folder} has those of PostgreSQL {version}")
    where = f" in {folder_given}" if folder_given else ""
    told = "; ".join(found) or f"pg_dump and pg_restore are not to be found{where}"
    raise CommandFailed(
        f"{told}, but the server is PostgreSQL {server_major}: install its client programs"
        f" (postgresql-client-{server_major}), or name the folder of newer ones with --programs",
        USAGE,
    )


def _known_folders() -> list[Path]:
    folders = []
    with suppress(RuntimeError):  # raised in a deployment without embedded servers
        folders.append(postgres.binaries())
    if program := shutil.which("pg_dump"):
        folders.append(Path(program).parent)
    return folders


def _major_version(program: Path) -> int | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the programs of the operator's choice
            [str(program), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout)
    return int(match[1]) if match else None


def _last_lines(messages: IO[bytes], lines: int = 5) -> str:
    messages.seek(0)
    return "\n".join(messages.read().decode(errors="replace").strip().splitlines()[-lines:])
