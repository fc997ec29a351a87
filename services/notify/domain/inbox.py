"""Inboxes and their entries."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notify.domain.cause import Amount, Asset, Kind


@dataclass(frozen=True, slots=True)
class Inbox:
    """One participant's inbox in one program."""

    program_id: str
    participant_id: str

    def digest(self) -> bytes:
        """8 bytes that stand for the inbox in announcements; a collision costs one needless look, no more."""
        name = f"{self.program_id}\x1f{self.participant_id}"
        return hashlib.blake2b(name.encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as stored: facts, not words."""

    inbox: Inbox
    entry_id: UUID
    kind: Kind
    cause_id: str
    conversion_id: str
    event_type: str
    buyer_id: str
    level: int
    assets: dict[str, Asset]
    amounts: tuple[Amount, ...]
    hold_until: datetime | None
    contest_id: str
    reason: str
    rank: int
    occurred_at: datetime
    create_time: datetime
    read: bool
    texts_version: int
    """The version of the program's texts that was the newest when the entry was written; 0 for the built-in ones."""
    chosen_locale: str
    """The language that the participant prefers at the moment of reading; empty if they chose none."""


@dataclass(frozen=True, slots=True)
class RenderedEntry:
    """An entry in the words of its reader's language."""

    entry: Entry
    locale: str
    title: str
    body: str
    amounts: tuple[str, ...]
    """The texts of the entry's amounts, in its order."""
