"""`upline health`."""

from typing import Annotated

import typer

from cli.stack.health import health as ask


def health(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A service's gRPC address.")],
    name: Annotated[
        str,
        typer.Argument(
            help="A gRPC service of it, which may need more than the others; or `broker`, for what it publishes to."
        ),
    ] = "",
) -> None:
    """Ask one service whether it is SERVING; the exit code is 0 only then. For health checks of containers.

    Example: upline health 127.0.0.1:7101 upline.attribution.v1.ClickService
    """
    answer = ask(address, name=name)
    print(answer)
    raise typer.Exit(0 if answer == "SERVING" else 1)
