"""`upline inbox`."""

from contextlib import nullcontext, suppress
from typing import Annotated

import typer
from upline.notify.v1 import notify_pb2

from cli.bundle.encode import plain_values
from cli.client import Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets
from cli.output import err, out, print_json
from cli.views.inbox import print_entry, read_inbox


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
    """Show what a participant was told, newest last; with --watch, also what comes from now on.

    Examples: upline inbox uds maria; upline inbox uds maria --watch; upline inbox uds maria --json (a JSON value a
    line)
    """

    async def work(client: Client) -> None:
        entries = await read_inbox(client, program, participant, limit)
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
        run_with_client(StackChoice(state, tuple(target)), work)


def _print(entry: notify_pb2.InboxEntry, as_json: bool) -> None:
    if as_json:
        print_json(plain_values(entry, defaults=True))
    else:
        print_entry(entry)
