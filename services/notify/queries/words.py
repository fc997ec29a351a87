"""Entries in words, by the texts under which each was written, compiled once."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from chassis.database import Database
from services.notify.domain.inbox import Entry, RenderedEntry
from services.notify.rendering.compiled import BUILT_IN_TEXTS, CompiledTexts, compile_texts
from services.notify.store import texts as texts_store

KEPT_VERSIONS = 256
"""The most versions that are kept in memory, each some 200 KB at most; a version never changes."""


class Words:
    """Renders entries; published versions are read once and kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._compiled: OrderedDict[tuple[str, int], CompiledTexts] = OrderedDict()

    async def render(self, entries: Sequence[Entry]) -> Iterator[RenderedEntry]:
        """The entries in their readers' languages, in the same order, each made when it is asked for."""
        wanted = {(each.inbox.program_id, each.texts_version) for each in entries if each.texts_version}
        texts = await self._texts(wanted)
        return (texts.get((each.inbox.program_id, each.texts_version), BUILT_IN_TEXTS).render(each) for each in entries)

    async def _texts(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], CompiledTexts]:
        found = {key: self._compiled[key] for key in wanted if key in self._compiled}
        if missing := list(wanted - found.keys()):
            async with self._database.transaction() as conn:
                read = await texts_store.versions(conn, missing)
            found |= {key: compile_texts(texts) for key, texts in read.items()}
        for key, compiled in found.items():
            self._compiled[key] = compiled
            self._compiled.move_to_end(key)
        while len(self._compiled) > KEPT_VERSIONS:
            self._compiled.popitem(last=False)
        return found
