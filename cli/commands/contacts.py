"""`upline contacts`."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple
from uuid import uuid4

import grpc
import typer
from google.protobuf.field_mask_pb2 import FieldMask
from upline.notify.v1 import contact_pb2

from chassis.times import to_timestamp
from cli.client import CALL_SECONDS, Client
from cli.connection import StackChoice, run_with_client
from cli.errors import CommandFailed, violations
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets, read_time
from cli.output import begin_bar, format_time, make_progress, make_table, out, print_json

contacts = typer.Typer(
    help="What is known of people beside their ids: name, e-mail address, time zone, language.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
BATCH = 1_000
"""The most contacts that the contract allows in one request."""
FIELDS = ("display_name", "email", "email_verify_time", "time_zone", "locale")
PARTICIPANT = "participant"


class Line(NamedTuple):
    """A line of a file, and the contact that it gives."""

    number: int
    contact: contact_pb2.Contact


@contacts.command()
def show(
    program: ProgramId,
    participant: ParticipantId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what is known of somebody.

    Example: upline contacts show uds maria
    """
    request = contact_pb2.GetContactRequest(program_id=program, participant_id=participant)

    async def work(client: Client) -> contact_pb2.Contact:
        answer: contact_pb2.GetContactResponse = await client.contacts.GetContact(request, timeout=CALL_SECONDS)
        return answer.contact

    contact = run_with_client(StackChoice(state, tuple(target)), work)
    if as_json:
        print_json(contact)
        return
    rows = make_table("", "field", "value")
    for name in FIELDS:
        value = getattr(contact, name)
        rows.add_row(name, format_time(value) if name == "email_verify_time" else value)
    out.print(rows, markup=False)


@contacts.command("set")
def set_(
    program: ProgramId,
    participant: ParticipantId,
    name: Annotated[str | None, typer.Option(help="What others call them.")] = None,
    email: Annotated[str | None, typer.Option(help="Their e-mail address.")] = None,
    verified: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it was made sure that the address is theirs.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="Their time zone, such as Europe/Berlin.")] = None,
    locale: Annotated[str | None, typer.Option(help="The language that they speak: en or ru.")] = None,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
) -> None:
    """Set what is known of somebody: the options that are given, and nothing else; an empty one empties its field.

    Example: upline contacts set uds maria --name Maria --time-zone Europe/Berlin
    """
    given = {"display_name": name, "email": email, "time_zone": time_zone, "locale": locale}
    contact = contact_pb2.Contact(participant_id=participant)
    paths = [key for key, value in given.items() if value is not None]
    for key in paths:
        setattr(contact, key, given[key])
    if verified is not None:
        paths.append("email_verify_time")
        if verified:
            contact.email_verify_time.CopyFrom(to_timestamp(read_time(verified, "--verified")))
    if not paths:
        raise CommandFailed("nothing is given to be set; `upline contacts set --help` lists what can be")
    request = contact_pb2.UpdateContactRequest(
        request_id=str(uuid4()), program_id=program, contact=contact, update_mask=FieldMask(paths=paths)
    )

    async def work(client: Client) -> None:
        await client.contacts.UpdateContact(request, timeout=CALL_SECONDS)

    run_with_client(StackChoice(state, tuple(target)), work)
    out.print(f"set of {participant}: {', '.join(paths)}", markup=False)


@contacts.command("import")
def import_(
    program: ProgramId,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file with a line for each person."),
    ],
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
) -> None:
    """Set what is known of many people. The first line names the columns: participant, and those of display_name,
    email, email_verify_time, time_zone, locale that are to be set; an empty cell empties its field.

    Example: upline contacts import uds people.csv
    """
    fields, lines = _read(file)

    async def work(client: Client) -> None:
        with make_progress() as bars:
            bar = begin_bar(bars, "setting contacts", len(lines))
            remaining = iter(lines)
            done = 0
            while part := list(islice(remaining, BATCH)):
                await _send(client, program, fields, part, file, done)
                done += len(part)
                bars.advance(bar, len(part))

    run_with_client(StackChoice(state, tuple(target)), work)
    out.print(f"set {', '.join(fields)} of {len(lines)} people", markup=False)


@contacts.command()
def erase(
    program: ProgramId,
    participant: ParticipantId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Erase all personal data that notify keeps of somebody in a program.

    Example: upline contacts erase uds maria
    """
    request = contact_pb2.EraseContactRequest(request_id=str(uuid4()), program_id=program, participant_id=participant)

    async def work(client: Client) -> contact_pb2.EraseContactResponse:
        answer: contact_pb2.EraseContactResponse = await client.contacts.EraseContact(request, timeout=CALL_SECONDS)
        return answer

    answer = run_with_client(StackChoice(state, tuple(target)), work)
    if as_json:
        print_json(answer)
    else:
        out.print(f"erased: {', '.join(answer.erased) or 'nothing, for nothing was kept'}", markup=False)


def _read(file: Path) -> tuple[list[str], list[Line]]:
    """The fields that a file sets, and its lines. Raises CommandFailed with the line that is wrong."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            columns = list(reader.fieldnames or ())
            fields = [each for each in columns if each != PARTICIPANT]
            if PARTICIPANT not in columns or not fields or not {*fields} <= {*FIELDS} or len({*columns}) < len(columns):
                raise CommandFailed(
                    f"{file}:1: expected the columns {PARTICIPANT} and any of {', '.join(FIELDS)}, each once"
                )
            lines = [Line(reader.line_num, _contact(f"{file}:{reader.line_num}", row, columns)) for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise CommandFailed(f"{file}: cannot be read: {error}") from error
    if not lines:
        raise CommandFailed(f"{file}: holds no people")
    return fields, lines


def _contact(at: str, row: dict[str, str], columns: Sequence[str]) -> contact_pb2.Contact:
    if any(row[name] is None for name in columns) or len(row) > len(columns):
        raise CommandFailed(f"{at}: has {'too few' if len(row) == len(columns) else 'too many'} columns")
    contact = contact_pb2.Contact(participant_id=row[PARTICIPANT])
    for name in columns:
        if name == "email_verify_time" and row[name]:
            contact.email_verify_time.CopyFrom(to_timestamp(read_time(row[name], f"{at}: {name}")))
        elif name in FIELDS and row[name]:
            setattr(contact, name, row[name])
    return contact


async def _send(
    client: Client, program: str, fields: Sequence[str], part: Sequence[Line], file: Path, done: int
) -> None:
    request = contact_pb2.BatchUpdateContactsRequest(
        request_id=str(uuid4()),
        program_id=program,
        contacts=[each.contact for each in part],
        update_mask=FieldMask(paths=fields),
    )
    try:
        await client.contacts.BatchUpdateContacts(request, timeout=CALL_SECONDS)
    except grpc.RpcError as error:
        if told := list(_by_line(error, part, file)):
            before = f"the {done:,} people before were set" if done else "nothing was changed"
            raise CommandFailed("\n".join([*told, before])) from error
        raise


def _by_line(error: grpc.RpcError, part: Sequence[Line], file: Path) -> Iterator[str]:
    """The faults that a service tells, by the lines of the file."""
    for path, text in violations(error):
        place, _, field = path.removeprefix("contacts[").partition("].")
        if place.isdecimal() and int(place) < len(part):
            yield f"{file}:{part[int(place)].number}: {field.replace('participant_id', PARTICIPANT)}: {text}"
