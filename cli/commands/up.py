"""`upline up`."""

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from chassis.embedded.state import StateDirectory
from cli.errors import USAGE, CommandFailed
from cli.options import DEFAULT_STATE, State
from cli.output import make_table, out
from cli.stack.layout import DEFAULT_PORTS, ExternalServers, Layout

if TYPE_CHECKING:
    from cli.stack.supervisor import Stack

COLOURS = {"attribution": "cyan", "rewards": "green", "notify": "magenta", "redirect": "blue", "upline": "bold"}


def up(
    state: State = DEFAULT_STATE,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes each of attribution, rewards and the redirect.")
    ] = 1,
    attribution_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = DEFAULT_PORTS[
        "attribution"
    ],
    rewards_port: Annotated[int, typer.Option(min=0, max=65535)] = DEFAULT_PORTS["rewards"],
    notify_port: Annotated[int, typer.Option(min=0, max=65535)] = DEFAULT_PORTS["notify"],
    redirect_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP, where links lead to.")] = DEFAULT_PORTS[
        "redirect"
    ],
    metrics_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            envvar="UPLINE_METRICS_PORT",
            help="Prometheus metrics of the first process; each further process has the next port. 0 for none.",
        ),
    ] = 0,
) -> None:
    """Run PostgreSQL, NATS, the three services and the redirect of links until Ctrl-C.

    A service that keeps dying is started again after pauses of up to a minute, while the others go on; `upline doctor`
    says which and why.

    Data stays in the state directory: the next start goes on where this one ended, however it ended.
    UPLINE_DATABASE_URL and UPLINE_NATS_URL take servers that run elsewhere instead of the embedded ones;
    UPLINE_ROLE_PASSWORD and UPLINE_SECRET go with them.

    Examples: upline up; upline up --workers 2 --state /var/lib/upline; upline up --attribution-port 9001
    --redirect-port 9080
    """
    ports = {"attribution": attribution_port, "rewards": rewards_port, "notify": notify_port, "redirect": redirect_port}
    from cli.stack.supervisor import Stack  # here, as it brings the migrations, which other commands do not need

    external = ExternalServers.from_environment()
    if missing := external.missing():
        raise CommandFailed(f"with UPLINE_DATABASE_URL, set {', '.join(missing)} too", USAGE)
    # Before anything starts: a service manager may ask to stop at any moment.
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: interrupted.set())
    directory = StateDirectory(state)
    try:
        layout = Layout(ports=ports, workers=workers, external=external, metrics_port=metrics_port).resolve()
        stack = Stack(directory, layout, lambda line: _show("upline", line), _show, needs_all=False)
        stack.start(interrupted)
        try:
            if not interrupted.is_set():
                _print_endpoints(stack, directory)
            stack.wait(interrupted)
        finally:
            stack.stop()
    finally:
        directory.close()


def _show(name: str, line: str) -> None:
    out.print(
        Text(f"{name:<13} ", style=COLOURS[name.split("-", maxsplit=1)[0]]).append(line, style="default"),
        soft_wrap=True,
    )


def _print_endpoints(stack: "Stack", directory: StateDirectory) -> None:
    rows = make_table("", "what", "where")
    for name, address in stack.layout.addresses().items():
        rows.add_row(f"{name} (gRPC)", address)
    rows.add_row("links (HTTP)", stack.layout.redirect_url)
    for name, port in stack.layout.metrics_ports().items():
        rows.add_row(f"metrics of {name}", f"http://{stack.layout.host}:{port}/metrics")
    for name, url in stack.servers.urls_without_passwords().items():
        rows.add_row(name, url)
    rows.add_row("state, logs", str(directory.path))
    out.print(rows)
    for name, how in stack.failing().items():
        out.print(Text(f"without {name}, which {how}", style="bold red"), soft_wrap=True)
    out.print("ready; Ctrl-C stops everything", style="bold")
