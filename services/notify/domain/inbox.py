"""Inboxes and their entries."""

import hashlib
from dataclasses import dataclass, replace
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
    """The language of the participant at the moment of reading; empty if none is known."""
    buyer_name: str = ""
    """The buyer's name at the moment of reading; empty if it is not known, or not for this reader."""
    reader_name: str = ""
    """The participant's own name; empty if it is not known."""
    time_zone: str = ""
    """The participant's time zone in the IANA database; empty if it is not known."""
    newest_texts_version: int = 0
    """The version of the program's texts that is the newest at the moment of reading: it says who may read names."""

    def with_names_up_to(self, level: int) -> "Entry":
        """The same entry for a reader who is told the buyer's name only where they are at most so far above."""
        return self if self.level <= level or not self.buyer_name else replace(self, buyer_name="")


@dataclass(frozen=True, slots=True)
class RenderedEntry:
    """An entry in the words of its reader's language."""

    entry: Entry
    locale: str
    title: str
    body: str
    amounts: tuple[str, ...]
    """The texts of the entry's amounts, in its order."""
