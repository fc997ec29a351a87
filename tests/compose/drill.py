"""Plays with a compose stack what an operator will meet: more replicas, servers killed, an upgrade, a restore into an
empty volume.

python -m tests.compose.drill scale kill upgrade restore

The stack runs already (`docker compose up --build --wait`, from the root of the checkout), and whoever runs this may
kill its processes. It is left scaled to three of each service. Ends with 1 where anything acknowledged is missing or
paid twice, where the audit finds something, or where a call fails in spite of gRPC's own retries while nothing but
replicas and versions change.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from cli.bundle.program import load as read_program
from tests.compose.load import Load, Told

ROOT = Path(__file__).resolve().parents[2]
PORTS = {"ATTRIBUTION": 7110, "REWARDS": 7120, "NOTIFY": 7130, "REDIRECT": 7180}
"""The first of ten ports for each service."""
REPLICAS = 3
SERVICES = ("attribution", "rewards", "notify")
SCALED = (*SERVICES, "redirect")
AROUND_SECONDS = 5.0
"""How long callers load the stack before and after each blow."""


def settings() -> dict[str, str]:
    """The environment in which each replica has a port."""
    ranges = {f"UPLINE_{name}_PORT": f"{first}-{first + 9}" for name, first in PORTS.items()}
    return os.environ | ranges | {"UPLINE_PUBLIC_URL": "http://127.0.0.1:7180"}


def compose(*arguments: str, stdin: bytes | None = None, quiet: bool = True) -> bytes:
    """Runs docker compose to its end and returns what it prints on stdout. Raises RuntimeError with the end of its
    errors."""
    result = subprocess.run(
        ["docker", "compose", *arguments], cwd=ROOT, env=settings(), input=stdin, capture_output=quiet, check=False
    )
    if result.returncode:
        tail = (result.stderr or b"").decode(errors="replace")[-4_000:]
        raise RuntimeError(f"docker compose {' '.join(arguments)} ended with {result.returncode}:\n{tail}")
    return result.stdout or b""


def scaled(*more: str) -> None:
    """Scales the stack to three containers of each service."""
    scales = [text for name in SCALED for text in ("--scale", f"{name}={REPLICAS}")]
    compose("up", "--detach", "--no-build", "--wait", *scales, *more)


def kill_process(service: str) -> None:
    """Ends a container's first process as a crash would: `docker kill` counts as a wish to stop, and nothing is started
    again."""
    container = compose("ps", "--quiet", service).decode().split()[0]
    found = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", container], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout), signal.SIGKILL)


async def scale(_load: Load) -> None:
    """Scales to three containers of each service while they are called."""
    await asyncio.to_thread(scaled)


async def kill(_load: Load) -> None:
    """Kills the database and the broker, one after the other, each as often as a service has time to meet it."""
    for service in ("postgres", "nats", "postgres", "nats"):
        await asyncio.to_thread(kill_process, service)
        await asyncio.sleep(2 * AROUND_SECONDS)


async def upgrade(_load: Load) -> None:
    """Upgrades whatever runs to the version of this checkout."""
    await asyncio.to_thread(
        subprocess.run, ["bash", str(ROOT / "deploy" / "upgrade.sh")], check=True, env=settings(), cwd=ROOT
    )


async def restore(load: Load) -> None:
    """Backs up, throws every volume away, restores into an empty one. Nobody calls meanwhile: what is acknowledged
    after a backup is not in it."""
    before = await load.held()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "drill.upline"
        kept.write_bytes(await asyncio.to_thread(compose, "run", "--rm", "-T", "cli", "backup", "-"))
        await asyncio.to_thread(compose, "down", "--volumes")
        await asyncio.to_thread(compose, "up", "--detach", "--no-build", "--wait", "postgres")
        told = await asyncio.to_thread(compose, "run", "--rm", "-T", "cli", "restore", "-", stdin=kept.read_bytes())
        print(told.decode().strip(), flush=True)
    await asyncio.to_thread(scaled)
    if (after := await load.held()) != before:
        raise RuntimeError(f"restored other totals than were kept: {before} before, {after} after")


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that happens to a stack."""

    strike: Callable[[Load], Awaitable[None]]
    under_load: bool
    unnoticed: bool
    """Whether callers with retries must see nothing of it."""


BLOWS = {
    "scale": Blow(scale, under_load=True, unnoticed=True),
    "kill": Blow(kill, under_load=True, unnoticed=False),
    "upgrade": Blow(upgrade, under_load=True, unnoticed=True),
    "restore": Blow(restore, under_load=False, unnoticed=True),
}


async def play(names: list[str], program: Path) -> list[str]:
    """Plays blows one after the other, with load around each; returns what went wrong."""
    bundle = read_program(program).under(f"drill-{int(time.time())}")
    ports = [list(range(PORTS[name.upper()], PORTS[name.upper()] + 10)) for name in SERVICES]
    wrong: list[str] = []
    load = Load(ports[0], ports[1], ports[2], bundle)
    await load.open()
    for name in names:
        blow = BLOWS[name]
        load.start()
        await asyncio.sleep(AROUND_SECONDS)
        if not blow.under_load:
            await load.stop()
            if differs := await load.paid():
                wrong.append(f"before {name}: {differs}")
        began = time.monotonic()
        await blow.strike(load)
        seconds = time.monotonic() - began
        if not blow.under_load:
            load.start()
        await asyncio.sleep(AROUND_SECONDS)
        told = await load.stop()
        print(f"{name}: {seconds:.1f} s; {_summary(told)}", flush=True)
        if blow.unnoticed and (failures := told.failures()):
            wrong.append(f"{name}: calls failed in spite of retries: {dict(failures)}")
        if differs := await load.paid():
            wrong.append(f"{name}: {differs}")
        told.calls.clear()
    await load.close()
    return wrong


def _summary(told: Told) -> str:
    calls = ", ".join(f"{name} {count}" for name, count in sorted(told.calls.items()))
    return f"{len(told.orders)} orders and {len(told.clicks)} clicks acknowledged so far; {calls}"


def main() -> None:
    """Plays what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blows", nargs="+", choices=BLOWS, help="what to play, in this order")
    parser.add_argument(
        "--program", type=Path, default=ROOT / "programs" / "three-levels.yaml", help="the program file"
    )
    parser.add_argument(
        "--as-it-is", action="store_true", help="do not scale first, as for an upgrade of a version before"
    )
    arguments = parser.parse_args()
    if not arguments.as_it_is:
        scaled()
    wrong = asyncio.run(play(arguments.blows, arguments.program))
    print("\n".join(wrong) or "everything acknowledged is there, once; the ledger balances", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
