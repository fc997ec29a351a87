"""The output of commands: data to stdout, progress and notes to stderr; plain text where a stream is not a terminal."""

import json
import sys
from collections.abc import Callable
from datetime import UTC
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.bundle.encode import plain_values

PIPED_WIDTH = 120
"""The width of tables where there is no terminal to ask."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints one JSON value on one line; messages as their fields, whole numbers as numbers."""
    ready = plain_values(value, defaults=True) if isinstance(value, Message) else value
    sys.stdout.write(json.dumps(ready, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def format_amount(minor: int, digits: int, asset: str) -> str:
    """An amount such as `1 234.50 points`: minor units as whole ones, grouped by thousands."""
    sign, rest = "-" if minor < 0 else "", abs(minor)
    whole, part = divmod(rest, 10**digits)
    decimals = f".{part:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {asset}".replace(",", " ")


def format_time(value: Timestamp) -> str:
    """A time for people, UTC to the second; empty for none."""
    if not value.ByteSize():
        return ""
    return value.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def make_table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table without a frame."""
    made = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def begin_bar(bars: Progress, title: str, total: int) -> TaskID:
    """Adds a bar; where stderr is not a terminal, says in a line what has begun."""
    if bars.disable:
        err.print(f"{title}: {total}", markup=False)
    return bars.add_task(title, total=total)


def begin_when_counted(bars: Progress, title: str) -> Callable[[int], Callable[[int], None]]:
    """Returns what begins a bar once the number of conversions is known, which in turn returns what moves the bar."""

    def begin(total: int) -> Callable[[int], None]:
        bar = begin_bar(bars, title, total)
        return lambda done: bars.update(bar, completed=done)

    return begin


def make_progress() -> Progress:
    """Bars on stderr; none where stderr is not a terminal."""
    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    )
