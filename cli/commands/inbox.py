"""`upline inbox`."""

from contextlib import nullcontext, suppress
from typing import Annotated

import typer
from upline.notify.v1 import notify_pb2

from cli.bundle.encode import plain
from cli.client import CALL_SECONDS, Client
from cli.connection import Where, call
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets
from cli.output import err, moment, out, print_json


def inbox(
    program: ProgramId,
    participant: ParticipantId,
    watch: Annotated[
        bool, typer.Option("--watch", help="Goes on with entries as they are written, until Ctrl-C.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many entries.")] = 20,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what a participant was told, newest last; with --watch, also what he is told from now on.

    Examples: upline inbox uds maria; upline inbox uds maria --watch; upline inbox uds maria --json (a JSON value a line)
    """

    async def work(client: Client) -> None:
        entries = await read(client, program, participant, limit)
        for each in reversed(entries):
            _print(each, as_json)
        if not watch:
            if not entries and not as_json:
                out.print(f"{participant} was not told anything yet")
            return
        after = entries[0].entry_id if entries else ""
        request = notify_pb2.WatchInboxRequest(program_id=program, participant_id=participant, after_entry_id=after)
        async for answer in client.inbox.WatchInbox(request):
            if answer.HasField("entry"):
                _print(answer.entry, as_json)
            else:
                err.print("watching; Ctrl-C ends", style="dim")

    with suppress(KeyboardInterrupt) if watch else nullcontext():  # Ctrl-C is how a watch ends
        call(Where(state, tuple(target)), work)


async def read(client: Client, program: str, participant: str, limit: int) -> list[notify_pb2.InboxEntry]:
    """The newest entries, newest first."""
    page = await client.inbox.ListInbox(
        notify_pb2.ListInboxRequest(program_id=program, participant_id=participant, page_size=limit),
        timeout=CALL_SECONDS,
    )
    return list(page.entries)


def _print(entry: notify_pb2.InboxEntry, as_json: bool) -> None:
    if as_json:
        print_json(plain(entry, defaults=True))
    else:
        print_entry(entry)


def print_entry(entry: notify_pb2.InboxEntry, indent: str = "") -> None:
    """The time, the title, and the body beneath."""
    out.print(f"{indent}{moment(entry.create_time)}  {entry.title}", style="bold", markup=False)
    for line in entry.body.splitlines():
        out.print(f"{indent}  {line}", markup=False)
