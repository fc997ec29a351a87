"""Entries in words, by the texts under which each was written."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence

from chassis.database import Database
from services.notify.domain.inbox import Entry, RenderedEntry
from services.notify.rendering.compiled import BUILT_IN_TEXTS, CompiledTexts, compile_texts
from services.notify.store import texts as texts_store

KEPT_VERSIONS = 256
"""The most versions that are kept in memory, each 250 KB of templates at most; a version never changes."""
KEPT_CHARACTERS = 1_000_000
"""The most characters of templates that are kept compiled, each of which takes up to 30 bytes then."""
TURN_SECONDS = 0.01
"""The time after which rendering lets other calls go on; one text takes as long at most."""


class Words:
    """Renders entries; published versions are read once and kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: OrderedDict[tuple[str, int], CompiledTexts] = OrderedDict()

    async def render(self, entries: Sequence[Entry]) -> AsyncGenerator[RenderedEntry, None]:
        """Yields the entries in their readers' languages, in the same order, each made when it is asked for. However
        much a program's texts ask for, other calls go on meanwhile: compiling is done in a thread, and rendering in
        turns."""
        numbers = ((each.inbox.program_id, each.texts_version, each.newest_texts_version) for each in entries)
        versions = await self._read({(program, each) for program, *both in numbers for each in both if each})
        began = time.monotonic()
        for each in entries:
            texts = versions.get((each.inbox.program_id, each.texts_version), BUILT_IN_TEXTS)
            if not texts.is_ready(each):
                await asyncio.to_thread(texts.prepare, each)
                self._forget_oldest()
            newest = versions.get((each.inbox.program_id, each.newest_texts_version), BUILT_IN_TEXTS)
            yield texts.render(each.with_names_up_to(newest.names_up_to_level))
            if time.monotonic() - began > TURN_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()

    async def _read(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], CompiledTexts]:
        found = {key: self._versions[key] for key in wanted if key in self._versions}
        if missing := list(wanted - found.keys()):
            async with self._database.transaction() as conn:
                read = await texts_store.versions(conn, missing)
            found |= {key: compile_texts(texts) for key, texts in read.items()}
        for key, texts in found.items():
            self._versions[key] = texts
            self._versions.move_to_end(key)
        self._forget_oldest()
        return found

    def _forget_oldest(self) -> None:
        characters = sum(each.compiled_characters for each in self._versions.values())
        while len(self._versions) > KEPT_VERSIONS or characters > KEPT_CHARACTERS:
            _, oldest = self._versions.popitem(last=False)
            characters -= oldest.compiled_characters
