"""Contacts: what is known of a person beside their id."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MAX_AHEAD = timedelta(minutes=5)
"""How far clocks of callers may be ahead: a verification is not in the future otherwise."""
_JOINERS = "\u200c\u200d"
"""Invisible characters that words of Persian or of Indic languages, and emoji, are written with."""
_REFUSED = {
    "Cc": "a control character or line end",
    "Cf": "an invisible character, which may turn the direction of writing",
    "Zl": "a line end",
    "Zp": "a line end",
    "Cs": "half a character",
    "Co": "a character that means nothing to others",
    "Cn": "a character that is none",
}
"""The categories of Unicode that have no place in a name, in words. Names go into headers and lines of texts."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One participant's contact. Empty texts stand for what is not known."""

    participant_id: str
    display_name: str = ""
    email: str = ""
    """The address as it was given."""
    email_key: str = ""
    """The same, normalised: two that are equal are one mailbox."""
    email_verify_time: datetime | None = None
    """When it was made sure that the address is theirs; None if it was not."""
    time_zone: str = ""
    locale: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A participant as texts see them. Empty fields stand for what is not known."""

    name: str = ""
    time_zone: str = ""
    locale: str = ""
    """The language that the platform knows them to speak."""

    def language(self, chosen: str) -> str:
        """The language in which they are told, given the one that they chose themselves: theirs comes first. Empty for
        the program's."""
        return chosen or self.locale


NOBODY = Person()
"""Somebody of whom nothing is known."""


def changed(stored: Contact, given: Contact, fields: Collection[str], now: datetime) -> Contact:
    """The stored contact with these fields taken from the given one. An address that changes is not verified, unless
    the same change says so."""
    email, email_key = (given.email, given.email_key) if "email" in fields else (stored.email, stored.email_key)
    verify_time = stored.email_verify_time if email_key == stored.email_key else None
    return replace(
        stored,
        display_name=given.display_name if "display_name" in fields else stored.display_name,
        email=email,
        email_key=email_key,
        email_verify_time=given.email_verify_time if "email_verify_time" in fields else verify_time,
        time_zone=given.time_zone if "time_zone" in fields else stored.time_zone,
        locale=given.locale if "locale" in fields else stored.locale,
        update_time=now,
    )


def name_problem(name: str) -> str:
    """The fault of a person's name, and what to write instead; empty if it has none."""
    for place, each in enumerate(name):
        if each in _JOINERS:
            continue
        if what := _REFUSED.get(unicodedata.category(each)):
            return f"has {what} (U+{ord(each):04X}) at place {place + 1}; write the name in one line, without it"
    if name and not any(unicodedata.category(each)[0] in "LNSP" for each in name):
        return "has nothing that can be seen; write a name, or leave it empty"
    return ""
