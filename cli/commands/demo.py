"""`upline demo`."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.client import Client
from cli.connection import StackChoice, run_with_client
from cli.options import Targets
from cli.output import out

DEMO_STATE = Path(".upline/demo")


def demo(
    state: Annotated[
        Path, typer.Option("--state", help="Where the demo keeps its data; apart from that of `upline up`.")
    ] = DEMO_STATE,
    quick: Annotated[bool, typer.Option("--quick", help="Leaves the real purchases out.")] = False,
    target: Targets = [],  # noqa: B006
) -> None:
    """Start everything and do the main job on real purchases.

    Three people in a line, olga, maria and vera: vera buys, and the two above her earn and are told. Then a real shop's
    69,659 purchases pay three levels each. A second run finds everything in place and is quick. `upline demo --quick
    --state .upline` plays the three people in the stack of `upline up`.

    Examples: upline demo; upline demo --state /tmp/upline-demo; upline demo --quick --state .upline
    """
    from cli.demonstration import Demonstration

    began = time.monotonic()

    async def work(client: Client) -> bool:
        return await Demonstration(client).run(with_purchases=not quick)

    well = run_with_client(StackChoice(state, tuple(target)), work)
    took = timedelta(seconds=round(time.monotonic() - began))
    out.print(
        f"\nDone in {took}. Everything is kept in {state}; the same command finds it there."
        if well
        else "\nThe demo did not end well."
    )
    raise typer.Exit(0 if well else 1)
