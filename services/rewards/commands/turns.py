"""Turns of a program's facts within a process: its own parts wait for one another here, and not in the database."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from chassis.database import IDLE_TRANSACTION_TIMEOUT_MS

WAIT_SECONDS = 0.8 * IDLE_TRANSACTION_TIMEOUT_MS / 1000
"""The longest wait for a turn: the database ends a transaction that does nothing for longer."""


@dataclass(slots=True)
class ProgramTurns:
    """Which transactions of this process have the turn of which programs.

    The lock of a program in the database is for other processes: a wait for it ends after seconds, as for a fault, but
    a batch of this process that takes longer is none. Turns are given in the order in which they are asked for.
    """

    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def begin(self) -> "Turn":
        """A turn, for a transaction that is within its block: so it is over when the locks are free."""
        return Turn(self)

    def lock_of(self, program_id: str) -> asyncio.Lock:
        """The lock of one program, which is forgotten when nobody has it or waits for it."""
        lock = self._locks.get(program_id)
        if lock is None:
            lock = self._locks[program_id] = asyncio.Lock()
        return lock


@dataclass(slots=True)
class Turn:
    """The turn of some programs, from `wait_for` to the end of the block."""

    _turns: ProgramTurns
    _taken: list[asyncio.Lock] = field(default_factory=list)

    async def wait_for(self, program_ids: Collection[str]) -> None:
        """Waits for the turn of programs, once in a block. TimeoutError after WAIT_SECONDS."""
        async with asyncio.timeout(WAIT_SECONDS):
            for program_id in sorted(program_ids):  # in one order, so that nobody waits in a circle
                lock = self._turns.lock_of(program_id)
                await lock.acquire()
                self._taken.append(lock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        while self._taken:
            self._taken.pop().release()
