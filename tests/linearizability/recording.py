"""Records what clients called and what they were told, with the time of both.

A history is linearizable if every call can be given one moment between its beginning and its end so that, taken in the
order of those moments, the answers are those of a system that does one thing at a time (Herlihy and Wing,
"Linearizability: A Correctness Condition for Concurrent Objects", 1990).
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

CALL_SECONDS = 8.0
MAX_RETRY_PAUSE_SECONDS = 0.5
OBSERVE_PAUSE_SECONDS = 0.05
GIVE_UP_SECONDS = 180.0
"""How long a caller repeats a call before it is taken for a fault of the stack: longer than a server needs to come
back."""
OK = "OK"

_TRY_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_REFUSED = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND}


@dataclass(slots=True)
class Operation:
    """One call as its client saw it. Repeats after a lost answer belong to it: they carry the same id."""

    subject: str
    """The object of the call: `wallet:`, `binding:` or `budget:` and a name. Each subject is checked by itself."""
    client: int
    kind: str
    arguments: dict[str, Any]
    outcome: str
    """`OK`, or the reason of a refusal."""
    result: dict[str, Any]
    call_ns: int
    """When it was called, by the one clock of the process that records."""
    return_ns: int


@dataclass
class Recorder:
    """Collects operations of all clients of one process."""

    rng: random.Random
    operations: list[Operation] = field(default_factory=list)
    retries: int = 0

    async def call(
        self,
        subject: str,
        client: int,
        kind: str,
        send: Callable[[], Awaitable[Any]],
        result: Callable[[Any], dict[str, Any]] = lambda answer: {},
        **arguments: Any,
    ) -> bool:
        """Makes a call until it is answered or refused; returns whether it was done. `send` makes the same call each
        time; `result` reads what the checker compares of the answer."""
        call_ns = time.monotonic_ns()
        outcome, answer = await self.answered(send)
        found = {} if answer is None else result(answer)
        self._note(subject, client, kind, arguments, outcome, found, call_ns)
        return outcome == OK

    async def observed(
        self,
        subject: str,
        client: int,
        kind: str,
        send: Callable[[], Awaitable[Any]],
        observe: Callable[[], Awaitable[dict[str, Any] | None]],
        **arguments: Any,
    ) -> dict[str, Any]:
        """Makes a call that takes effect later, and waits until its effect is seen: `observe` returns what the checker
        compares, or None as long as nothing is seen. The moment of the effect lies between the call and the sight."""
        call_ns = time.monotonic_ns()
        outcome, _ = await self.answered(send)
        if outcome != OK:
            raise AssertionError(f"{kind} of {subject} {arguments} was refused: {outcome}")
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while (found := await self._seen(observe)) is None:
                await asyncio.sleep(OBSERVE_PAUSE_SECONDS)
        self._note(subject, client, kind, arguments, OK, found, call_ns)
        return found

    def _note(
        self, subject: str, client: int, kind: str, arguments: dict[str, Any], outcome: str, found: dict[str, Any],
        call_ns: int,
    ) -> None:  # fmt: skip
        self.operations.append(
            Operation(subject, client, kind, arguments, outcome, found, call_ns, time.monotonic_ns())
        )

    async def answered(self, send: Callable[[], Awaitable[Any]]) -> tuple[str, Any]:
        """Makes a call until it is answered or refused; returns `OK` and the answer, or the reason and None. Not
        recorded."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                try:
                    return OK, await send()
                except grpc.aio.AioRpcError as error:
                    if error.code() in _REFUSED:
                        return _reason(error), None
                    await self._pause(error)

    async def _seen(self, observe: Callable[[], Awaitable[dict[str, Any] | None]]) -> dict[str, Any] | None:
        try:
            return await observe()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                await self._pause(error)
            return None

    async def _pause(self, error: grpc.aio.AioRpcError) -> None:
        if error.code() not in _TRY_AGAIN:
            raise error
        self.retries += 1
        await asyncio.sleep(self.rng.uniform(0, MAX_RETRY_PAUSE_SECONDS))


def write(path: Path, operations: list[Operation]) -> None:
    """Writes one operation a line, as JSON."""
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in operations))


def _reason(error: grpc.aio.AioRpcError) -> str:
    """The reason that the error's details state."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    raise AssertionError(f"a refusal without a reason: {error}")
