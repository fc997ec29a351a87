"""Entries of a participant's inbox."""

from upline.notify.v1 import notify_pb2

from cli.client import CALL_SECONDS, Client
from cli.output import format_time, out


async def read_inbox(client: Client, program: str, participant: str, limit: int) -> list[notify_pb2.InboxEntry]:
    """The newest entries of an inbox, newest first."""
    page = await client.inbox.ListInbox(
        notify_pb2.ListInboxRequest(program_id=program, participant_id=participant, page_size=limit),
        timeout=CALL_SECONDS,
    )
    return list(page.entries)


def print_entry(entry: notify_pb2.InboxEntry, indent: str = "") -> None:
    """Prints the time and title of an entry, and its body beneath."""
    out.print(f"{indent}{format_time(entry.create_time)}  {entry.title}", style="bold", markup=False)
    for line in entry.body.splitlines():
        out.print(f"{indent}  {line}", markup=False)
