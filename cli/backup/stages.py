"""Says on stderr how far long work has come: in place on a terminal, in a line a stage elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cli.output import err


class TellStage(Protocol):
    """A function that tells people which stage of long work has begun."""

    def __call__(self, line: str, *, passing: bool = False) -> None:
        """Tells one line. A `passing` one is worth seeing only on a terminal, where the next one takes its place."""
        ...


@contextmanager
def tell_stages(beginning: str) -> Iterator[TellStage]:
    """Tells stages for as long as the context lasts."""
    if not err.is_terminal:

        def line_by_line(line: str, *, passing: bool = False) -> None:
            if not passing:
                err.print(line, markup=False)

        line_by_line(beginning)
        yield line_by_line
        return
    with err.status(beginning) as status:

        def in_place(line: str, *, passing: bool = False) -> None:
            status.update(line)

        yield in_place
