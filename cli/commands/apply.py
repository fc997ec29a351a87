"""`upline apply` and `upline export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.applying import Applied, apply_bundle, export_bundle
from cli.bundle.program import encode, load
from cli.connection import Where, call
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import print_json


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A program file, YAML.")],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only check what the file shows by itself; needs no services. They check plan and texts further.",
        ),
    ] = False,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006 - typer reads it, nobody changes it
    as_json: Json = False,
) -> None:
    """Apply a program file: attribution policy, plan and texts.

    Every mistake is told with its line. A file that was applied already changes nothing; a changed plan becomes the next version,
    and pays for what happens from then on.

    Examples: upline apply programs/uds.yaml; upline apply --check programs/uds.yaml
    """
    bundle = load(file)
    if check:
        if as_json:
            print_json({"program_id": bundle.program.program_id, "valid": True})
        else:
            print(f"{file} is valid")
        return
    applied = call(Where(state, tuple(target)), lambda client: apply_bundle(client, bundle))
    if as_json:
        print_json({**asdict(applied), "changed": applied.changed})
    else:
        for line in summary(applied):
            print(line)


def summary(applied: Applied) -> list[str]:
    """What was done, for people."""
    lines = [f"program {applied.program_id}: {applied.program}"]
    if applied.plan:
        lines.append(f"plan: {applied.plan}, version {applied.plan_version}")
    if applied.texts:
        lines.append(f"texts: {applied.texts}, version {applied.texts_version}")
    if not applied.changed:
        lines.append("nothing changed: everything is as the file says already")
    return lines


def export(
    program: ProgramId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Print a program as the services hold it, as a file that `upline apply` takes.

    Example: upline export uds > uds.yaml
    """
    bundle = call(Where(state, tuple(target)), lambda client: export_bundle(client, program))
    if as_json:
        print_json({"file": encode(bundle)})
    else:
        print(encode(bundle), end="")
