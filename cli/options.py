"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

State = Annotated[
    Path,
    typer.Option("--state", envvar="UPLINE_STATE", help="Directory of the embedded stack: its data, logs and lock."),
]
Targets = Annotated[
    list[str],
    typer.Option(
        "--target",
        metavar="NAME=HOST:PORT",
        help="A service elsewhere (attribution, rewards, notify); give all three, or set UPLINE_ATTRIBUTION_ADDR and so on.",
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
