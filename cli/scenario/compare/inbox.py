"""Entries of a person's inbox."""

from collections.abc import Sequence

from upline.notify.v1 import notify_pb2

from cli.bundle.names import short_name
from cli.client import CALL_SECONDS, LARGEST_PAGE
from cli.scenario.compare.mismatch import NOTHING, Mismatch
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import ExpectedEntry


async def compare_inbox(run: ScenarioRun, person: str, wanted: Sequence[ExpectedEntry], path: str) -> list[Mismatch]:
    """Compares the entries since the inbox was last looked at, oldest first."""
    page = await run.client.inbox.ListInbox(
        notify_pb2.ListInboxRequest(program_id=run.program_id, participant_id=person, page_size=LARGEST_PAGE),
        timeout=CALL_SECONDS,
    )
    entries = list(page.entries)[::-1]
    fresh = entries[run.seen.get(person, 0) :]
    run.seen[person] = len(entries)
    if len(fresh) == len(wanted) and all(map(_is_expected_entry, wanted, fresh)):
        return []
    return [
        Mismatch(
            path,
            tuple(_shown_wish(each) for each in wanted) or (NOTHING,),
            tuple(_shown_entry(each) for each in fresh) or (NOTHING,),
        )
    ]


def _is_expected_entry(wanted: ExpectedEntry, entry: notify_pb2.InboxEntry) -> bool:
    whole = f"{entry.title}\n{entry.body}"
    pairs = (
        (wanted.kind.upper(), short_name(notify_pb2.NotificationKind.DESCRIPTOR, entry.kind)),
        (wanted.title, entry.title),
        (wanted.body, entry.body),
        (wanted.event, entry.conversion_id),
    )
    return plain_spaces(wanted.text) in plain_spaces(whole) and all(
        not said or plain_spaces(str(said)) == plain_spaces(str(there)) for said, there in pairs
    )


def plain_spaces(text: str) -> str:
    """Amounts are written with spaces that do not break; a file is easier to write with ordinary ones."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def _shown_wish(wanted: ExpectedEntry) -> str:
    said = {name: getattr(wanted, name) for name in ("kind", "event", "title", "body", "text")}
    return ", ".join(f"{name}: {value}" for name, value in said.items() if value)


def _shown_entry(entry: notify_pb2.InboxEntry) -> str:
    kind = short_name(notify_pb2.NotificationKind.DESCRIPTOR, entry.kind)
    return f"kind: {kind}, event: {entry.conversion_id}, title: {entry.title}, body: {entry.body}"
