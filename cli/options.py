"""Options that many commands share, and how their texts are read."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import USAGE, CommandFailed

State = Annotated[
    Path,
    typer.Option("--state", envvar="UPLINE_STATE", help="Directory of the embedded stack: its data, logs and lock."),
]
Targets = Annotated[
    list[str],
    typer.Option(
        "--target",
        metavar="NAME=HOST:PORT",
        help="A service elsewhere (attribution, rewards, notify); give all three, or set UPLINE_ATTRIBUTION_ADDR and"
        " so on.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON value on stdout, for scripts; what ends in _minor is in minor units (cents)."
    ),
]
ProgramId = Annotated[str, typer.Argument(metavar="PROGRAM", help="The program's id.")]
ParticipantId = Annotated[str, typer.Argument(metavar="PARTICIPANT", help="The participant's id, the caller's own.")]
Locale = Annotated[str, typer.Option("--locale", help="Language of sentences: en or ru.")]

DEFAULT_STATE = Path(".upline")


def read_time(text: str, option: str) -> datetime:
    """A date or time of the command line; in UTC where it names no zone. Raises CommandFailed."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(
            f"{option} {text}: expected a date or time such as 2026-05-01 or 2026-05-01T12:00:00Z", USAGE
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
