"""People, and how they come."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cli.scenario.shapes.marks import CLICK, CODE, EVENT, LINK, Attributes, Code, Link, NewName, NewPerson, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A person and the way in which they are enrolled."""

    sponsor: Person = ""
    """The caller names the sponsor."""
    code: Code = ""
    """The code that they typed."""
    link: Link = ""
    """The link that they followed just now."""
    attributes: Attributes = field(default_factory=dict)
    language: Literal["", "en", "ru"] = ""
    name: str = ""
    """Their name in texts, for those who may read it."""
    time_zone: str = ""
    sign_up: bool = False
    """Records an event of type sign_up, named `sign_up:` and the person."""

    @staticmethod
    def new_names(key: str, given: dict[str, Any]) -> list[tuple[str, str]]:
        """The names that somebody brings along: `key` is their own, or stands in `given`."""
        return [(EVENT, f"sign_up:{key or given.get('person', '')}")] if given.get("sign_up") is True else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol(Newcomer):
    """A person joins after the start."""

    person: NewPerson


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """An enrolled person without a sponsor gets one."""

    person: Person
    sponsor: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttributes:
    """A person's attributes from now on, all of them."""

    person: Person
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeLink:
    """A person makes a link."""

    id: Annotated[str, NewName(LINK)]
    owner: Person
    to: str
    channel: str = ""
    campaign: str = ""
    share_percent: str = ""
    """The part of the reward that the owner passes on to whoever comes by the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCode:
    """A person makes a code."""

    code: Annotated[str, NewName(CODE)]
    owner: Person
    channel: str = ""
    share_percent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareInvitation:
    """A person shares a link or code of their own."""

    by: Person
    channel: str
    link: Link = ""
    code: Code = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A visitor follows a link."""

    id: Annotated[str, NewName(CLICK)]
    link: Link
    visitor: str = ""
