"""Reads the stream CLICKS, and has its clicks written into day partitions."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.attribution.commands.click_writing import write_clicks
from services.attribution.commands.deps import WriterDeps
from services.attribution.wire.click_rows import encode

CONSUMER = "click_writer"
FETCH_MESSAGES = 32
"""The number of messages that are read together. Full ones have 64,000 clicks, 5 MB: long enough a copy that its fixed
costs vanish, short enough to hold."""


@dataclass(frozen=True, slots=True)
class ClickBatches:
    """Handles messages of the stream."""

    deps: WriterDeps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Writes the clicks of serialised ClickBatches."""
        await write_clicks(self.deps, encode(payloads))
