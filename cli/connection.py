"""Finds the services: named by the caller, else a running stack, else a stack for the duration of the command."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chassis.embedded.state import StateDirectory, running_stack
from cli.client import Addresses, Client
from cli.errors import USAGE, CommandFailed
from cli.output import err
from cli.stack.layout import SERVICES, ExternalServers, ephemeral_layout

if TYPE_CHECKING:
    from cli.stack.supervisor import Stack

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StackChoice:
    """The caller's choice of services: a state directory, and services named one by one."""

    state: Path
    targets: tuple[str, ...] = ()


def named_addresses(choice: StackChoice) -> Addresses | None:
    """The addresses given by `--target` or `UPLINE_*_ADDR`; None if none was. Raises CommandFailed if only some
    were."""
    given = {name: os.environ.get(f"UPLINE_{name.upper()}_ADDR", "") for name in SERVICES}
    for target in choice.targets:
        name, _, address = target.partition("=")
        if name not in SERVICES or ":" not in address:
            raise CommandFailed(f"--target {target}: expected attribution|rewards|notify=HOST:PORT", USAGE)
        given[name] = address
    missing = [name for name, address in given.items() if not address]
    if len(missing) == len(SERVICES):
        return None
    if missing:
        names = ", ".join(f"--target {name}=HOST:PORT (or UPLINE_{name.upper()}_ADDR)" for name in missing)
        raise CommandFailed(f"not every service is named; missing: {names}", USAGE)
    return Addresses(**given)


@contextmanager
def open_services(choice: StackChoice) -> Iterator[Addresses]:
    """Addresses of the services, which answer for as long as the context lasts."""
    if addresses := named_addresses(choice):
        yield addresses
        return
    if running := running_stack(choice.state):
        yield Addresses(**running["services"])
        return
    with start_embedded(choice.state) as stack:
        yield Addresses(**stack.layout.addresses())


@contextmanager
def open_database(choice: StackChoice) -> Iterator[str]:
    """The URL of the database as its owner, for what operators do beneath the services; it answers for as long as the
    context lasts."""
    with open_servers(choice) as (url, _nats_url):
        yield url


@contextmanager
def open_servers(choice: StackChoice) -> Iterator[tuple[str, str]]:
    """The URLs of the database, as its owner, and of the broker; the latter is empty where nobody named it."""
    external = ExternalServers.from_environment()
    if external.database_url:
        yield external.database_url, external.nats_url
    elif (running := running_stack(choice.state)) and running.get("postgres_port"):
        secrets = json.loads((choice.state / "secrets.json").read_text())
        port = running.get("nats_port")
        yield (
            f"postgresql://upline:{secrets['database_password']}@127.0.0.1:{running['postgres_port']}/upline",
            f"nats://upline:{secrets['nats_password']}@127.0.0.1:{port}" if port else external.nats_url,
        )
    elif running:
        raise CommandFailed(
            f"the stack on {choice.state} uses a database elsewhere: set UPLINE_DATABASE_URL to it", USAGE
        )
    else:
        with start_embedded(choice.state) as stack:
            yield stack.servers.database_url, stack.servers.nats_url


@contextmanager
def start_embedded(state_path: Path) -> "Iterator[Stack]":
    """A quiet stack of one's own on free ports."""
    from cli.stack.supervisor import Stack  # here, as it brings the migrations, which most commands do not need

    if ExternalServers.from_environment().database_url:
        # A command that reads would migrate that database, change its passwords and run a second stack beside the
        # real one.
        raise CommandFailed(
            f"no stack runs on {state_path}, and UPLINE_DATABASE_URL names a database of another one: say where its"
            " services answer with --target, or unset it",
            USAGE,
        )
    state = StateDirectory(state_path)
    try:
        err.print(
            f"no stack runs on {state_path}: starting one for this command, which takes some seconds;"
            f" `upline up --state {state_path}` in another terminal keeps one running",
            markup=False,
        )
        with err.status("starting the stack") as status:
            stack = Stack(state, ephemeral_layout(ExternalServers()), status.update)
            stack.start()
        try:
            yield stack
        finally:
            stack.stop()
    finally:
        state.close()


def run_with_client(choice: StackChoice, work: Callable[[Client], Awaitable[Result]]) -> Result:
    """Runs `work` with a client of the services."""
    with open_services(choice) as addresses:
        return asyncio.run(_run(addresses, work))


async def _run(addresses: Addresses, work: Callable[[Client], Awaitable[Result]]) -> Result:
    async with Client(addresses) as client:
        return await work(client)
