"""Reads the stream CLICKS, and has its clicks written into day partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from chassis.consumer import SomeFailedError
from chassis.database import is_transient
from chassis.isolation import isolating
from services.attribution.commands.click_writing import write_clicks
from services.attribution.commands.deps import WriterDeps
from services.attribution.wire.click_rows import encode, split

CONSUMER = "click_writer"
FETCH_MESSAGES = 32
"""The number of messages that are read together. Full ones have 64,000 clicks, 5 MB: long enough a copy that its fixed
costs vanish, short enough to hold."""


@dataclass(frozen=True, slots=True)
class ClickBatches:
    """Handles messages of the stream."""

    deps: WriterDeps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Writes the clicks of serialised ClickBatches. Raises SomeFailedError after that if one cannot be read or
        written; where all wait, as for a partition, raises that error: no click is at fault."""
        try:
            await write_clicks(self.deps, encode(payloads))
        except Exception as error:
            if is_transient(error):
                raise
            if failed := await self._write_apart(payloads):
                raise SomeFailedError(failed) from error

    async def _write_apart(self, payloads: Sequence[bytes]) -> dict[int, Exception]:
        """Writes the messages one after the other, and of one at fault all clicks that are not. Returns the errors of
        messages by their places."""
        failed: dict[int, Exception] = {}
        for place, payload in enumerate(payloads):
            try:
                clicks = split(payload)
            except ValueError as error:
                failed[place] = error
                continue
            errors = await isolating(self.deps.database, clicks, itemgetter(0), self._write)
            if errors:
                failed[place] = errors[0][1]
        return failed

    async def _write(self, clicks: Sequence[tuple[str, bytes]]) -> None:
        await write_clicks(self.deps, encode([payload for _, payload in clicks]))
