"""Work on several things at once, of which those at fault keep no others from it."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import TypeVar

from chassis.database import Database, is_transient

Thing = TypeVar("Thing")


async def isolating(
    database: Database,
    things: Sequence[Thing],
    program_of: Callable[[Thing], str],
    work: Callable[[Sequence[Thing]], Awaitable[None]],
) -> list[tuple[Thing, Exception]]:
    """Works on all at once; where that fails, on fewer, down to those at fault. Returns these with their errors.

    What fails by a fault of its own is halved until it is found. What may succeed later, such as a wait for a lock, is
    divided by program and no further: each try may take as long as the first, and a program that waits has all of its
    things waiting. Raises only if the database does not answer: then nothing can be said of single things.
    """
    try:
        await work(things)
    except Exception as error:
        if is_transient(error):
            await require_answer(database, error)
            parts = [list(part) for _, part in groupby(sorted(things, key=program_of), key=program_of)]
            if len(parts) == 1:
                return [(each, error) for each in things]
        elif len(things) == 1:
            return [(things[0], error)]
        else:
            middle = len(things) // 2
            parts = [list(things[:middle]), list(things[middle:])]
        return [failure for part in parts for failure in await isolating(database, part, program_of, work)]
    return []


async def require_answer(database: Database, error: Exception) -> None:
    """Raises the error if the database, asked for nothing in particular, does not answer either."""
    try:
        await database.ready()
    except Exception as fault:
        raise error from fault
