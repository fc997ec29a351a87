"""`upline backup` and `upline restore`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import USAGE, CommandFailed
from cli.options import DEFAULT_STATE, Json, State
from cli.output import err, out, print_json

PIPE = "-"
ProgramsFolder = Annotated[
    Path | None,
    typer.Option(
        "--programs",
        metavar="DIR",
        envvar="UPLINE_POSTGRES_PROGRAMS",
        help="Folder of pg_dump and pg_restore, as new as the server. Else those of the embedded PostgreSQL, or of"
        " PATH.",
    ),
]


def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write; it must not exist. - for stdout.")],
    programs: ProgramsFolder = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Keep everything the services know in one file: a dump of one moment, and the totals to check a restore by.

    Services may go on meanwhile. Takes the database of the stack on --state, whether it runs or not, or that of
    UPLINE_DATABASE_URL, as its owner. The file holds all that was told about people: its owner alone may read it.
    Secrets are not in it; keep secrets.json or UPLINE_SECRET as well.

    Examples: upline backup monday.upline; upline backup - | age -r … > monday.upline.age
    """
    from cli.backup.database import open_source
    from cli.backup.dump import write_backup
    from cli.backup.stages import tell_stages

    if file == PIPE and (as_json or sys.stdout.isatty()):
        raise CommandFailed("a backup to stdout needs a pipe or a file behind it, and leaves no room for --json", USAGE)
    with open_source(state) as database, tell_stages("looking at the database") as tell:
        pipe = sys.stdout.buffer if file == PIPE else None
        result = write_backup(database, None if pipe else Path(file), pipe, programs, tell)
    if as_json:
        print_json({"file": file, **asdict(result)})
    else:
        line = f"kept {result.rows} rows of {result.tables} tables as of {result.moment}, {result.bytes / 1e6:.1f} MB"
        (err if pipe else out).print(line, markup=False)


def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `upline backup` wrote. - for stdin.")],
    programs: ProgramsFolder = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty database, and check that everything is there.

    Into the stack on --state, which must not run, or into the database of UPLINE_DATABASE_URL, with
    UPLINE_ROLE_PASSWORD and without services. Restores, compares every table and account with what was kept, makes the
    roles, migrates to this version, grants what the roles need, and marks the events of the last days for publishing:
    when the services start, what was not settled is settled, and what was changes nothing. If anything is not as it
    was, nothing is restored.

    Examples: upline restore monday.upline --state fresh; upline restore - < monday.upline
    """
    from cli.backup.database import open_target
    from cli.backup.restore import restore_backup, verify_backup
    from cli.backup.stages import tell_stages

    if file != PIPE:
        with Path(file).open("rb") as stream:
            verify_backup(stream, file)  # this comes before anything is started or changed
    with (
        Path(file).open("rb") if file != PIPE else sys.stdin.buffer as stream,
        open_target(state) as database,
        tell_stages("looking at the database") as tell,
    ):
        restored = restore_backup(database, stream, file, programs, tell)
    for line in restored.warnings:
        err.print(line, style="yellow", markup=False)
    if as_json:
        print_json({"file": file, **asdict(restored)})
        return
    for line in restored.migrations:
        out.print(f"database of {line}", markup=False)
    events = ", ".join(f"{count} of {name}" for name, count in restored.published_again.items())
    out.print(
        f"restored {restored.rows} rows of {restored.tables} tables as of {restored.moment}, all as they were;"
        f" batches of events that are published again: {events}. Start the services",
        markup=False,
    )
