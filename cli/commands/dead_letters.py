"""`upline dead-letters`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import StackChoice, open_database, open_servers
from cli.errors import USAGE, CommandFailed
from cli.options import DEFAULT_STATE, Json, State
from cli.output import make_table, out, print_json

if TYPE_CHECKING:
    from cli.dead_letters import ServiceLetter

SHOWN_ERROR_CHARACTERS = 200

dead_letters = typer.Typer(
    help="Messages that failed too often and were set aside for a person. These commands need the database as its"
    " owner: that of the stack on --state, or UPLINE_DATABASE_URL.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dead_letters.command("list")
def list_(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """List what was set aside in all services, and why; the oldest of each first.

    Examples: upline dead-letters list; upline dead-letters list --json
    """
    from cli.dead_letters import open_letters  # here, as it brings the drivers of database and broker

    async def work(url: str) -> "list[ServiceLetter]":
        async with open_letters(url) as found:
            return found

    with open_database(StackChoice(state)) as url:
        facts = [each.facts() for each in asyncio.run(work(url))]
    if as_json:
        print_json({"dead_letters": facts})
        return
    if not facts:
        out.print("no dead letters")
        return
    rows = make_table("", "since", "service", "message", "bytes", "why", right=("bytes",))
    for each in facts:
        why = str(each["error"])[:SHOWN_ERROR_CHARACTERS]
        rows.add_row(each["park_time"], each["service"], each["message_id"], str(each["payload_bytes"]), why)
    out.print(rows)


@dead_letters.command()
def show(
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id, as `list` shows it.")],
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Show one with the whole error and what it says.

    Example: upline dead-letters show 3c6a1f0b9d2e4a57
    """
    from cli.dead_letters import open_letters, select_letters

    async def work(url: str) -> "ServiceLetter":
        async with open_letters(url) as found:
            return select_letters(found, [message])[0]

    with open_database(StackChoice(state)) as url:
        found = asyncio.run(work(url))
    facts = found.facts() | found.content()
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        out.print(f"{name}: {value}", markup=False)


@dead_letters.command()
def requeue(
    messages: Annotated[
        list[str],
        typer.Argument(metavar="[MESSAGE]...", help="Ids of messages, as `list` shows them.", show_default=False),
    ] = [],  # noqa: B006
    every: Annotated[bool, typer.Option("--all", help="All there are, of all services.")] = False,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Put messages back into their streams, after the cause is mended.

    They go back a few at a time, behind what is there: new orders do not wait for them. What had been handled
    before changes nothing. A message that fails again is set aside again after ten minutes, under another id. With
    UPLINE_DATABASE_URL, UPLINE_NATS_URL names the broker.

    Examples: upline dead-letters requeue 3c6a1f0b9d2e4a57; upline dead-letters requeue --all
    """
    if bool(messages) == every:
        raise CommandFailed("name messages, or say --all", USAGE)
    from cli.dead_letters import open_letters, put_letters_back, select_letters

    async def work(url: str, nats_url: str) -> list[str]:
        async with open_letters(url) as found:
            return await put_letters_back(nats_url, found if every else select_letters(found, messages))

    with open_servers(StackChoice(state)) as (url, nats_url):
        if not nats_url:
            raise CommandFailed("set UPLINE_NATS_URL to the broker of that database", USAGE)
        done = asyncio.run(work(url, nats_url))
    if as_json:
        print_json({"requeued": done})
    else:
        out.print(f"{len(done)} put back")
