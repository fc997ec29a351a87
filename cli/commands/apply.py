"""`upline apply` and `upline export`."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cli.bundle.program import Bundle, encode, load
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import print_json
from cli.plan_check import PlanCheck, check_plan, cost_lines, warning_lines
from cli.programs import apply_bundle, export_bundle, result_lines


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A program file, YAML; - reads it from standard input.")],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only check the file, its plan included, and tell what each event costs at most; needs no services."
            " They check its texts further.",
        ),
    ] = False,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006 - typer reads it, nobody changes it
    as_json: Json = False,
) -> None:
    """Apply a program file: attribution policy, plan and texts.

    Every mistake is told with its line, and so is what is allowed and probably not meant. A file that was applied
    already changes nothing; a changed plan becomes the next version, and pays for what happens from then on.

    Examples: upline apply programs/uds.yaml; upline apply --check programs/uds.yaml; upline apply - < programs/uds.yaml
    """
    bundle = load(file)
    plan_check = check_plan(bundle)
    if check:
        _tell_check(bundle, plan_check, as_json)
        return
    result = run_with_client(StackChoice(state, tuple(target)), lambda client: apply_bundle(client, bundle))
    if as_json:
        print_json({**asdict(result), "changed": result.changed, "warnings": _plain(plan_check.warnings)})
        return
    for line in (*warning_lines(bundle, plan_check.warnings), *result_lines(result)):
        print(line)


def _tell_check(bundle: Bundle, plan_check: PlanCheck, as_json: bool) -> None:
    if as_json:
        costs = _plain(plan_check.worst_cases)
        warnings = _plain(plan_check.warnings)
        print_json({"program_id": bundle.program.program_id, "valid": True, "warnings": warnings, "worst_cases": costs})
        return
    for line in (*warning_lines(bundle, plan_check.warnings), *cost_lines(plan_check)):
        print(line)
    count = len(plan_check.warnings)
    print(f"{bundle.file} is valid" + (f", with {count} warning{'s' * (count > 1)}" if count else ""))


def _plain(messages: Iterable[Message]) -> list[dict[str, object]]:
    return [MessageToDict(each, preserving_proto_field_name=True) for each in messages]


def export(
    program: ProgramId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Print a program as the services hold it, as a file that `upline apply` takes.

    Example: upline export uds > uds.yaml
    """
    bundle = run_with_client(StackChoice(state, tuple(target)), lambda client: export_bundle(client, program))
    if as_json:
        print_json({"file": encode(bundle)})
    else:
        print(encode(bundle), end="")
