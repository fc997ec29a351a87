"""Marks on types of a scenario file's values: a name that must be known, a word of a contract, an amount of some
asset."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

PERSON, LINK, CODE, CLICK, EVENT, ASSET, REDEMPTION, PAYOUT, CONTEST, RULE = (
    "person", "link", "code", "click", "event", "asset", "redemption", "payout", "contest", "rule",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewName:
    """A name that begins here and must be new."""

    kind: str


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name that something before it in the file must have made."""

    kind: str


@dataclass(frozen=True, slots=True)
class AnyName:
    """A name that may be known or new."""

    kind: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A word that must be a value of a contract's enumeration, written without its prefix."""

    enum: Any
    """The descriptor of the enumeration, an EnumDescriptor."""


@dataclass(frozen=True, slots=True)
class InCurrency:
    """An amount in the program's currency."""


@dataclass(frozen=True, slots=True)
class InAsset:
    """An amount of the asset that the field beside it names; of the plan's only asset where it is empty."""

    field: str = "asset"


@dataclass(frozen=True, slots=True)
class InKey:
    """An amount of the asset under whose name the mapping stands."""


@dataclass(frozen=True, slots=True)
class InAssetOf:
    """An amount of the asset of something made before, which the field beside it or the key above it names."""

    field: str = ""


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """The name of a program file, beside the scenario."""


Person = Annotated[str, KnownName(PERSON)]
NewPerson = Annotated[str, NewName(PERSON)]
Event = Annotated[str, KnownName(EVENT)]
Asset = Annotated[str, KnownName(ASSET)]
Link = Annotated[str, KnownName(LINK)]
Code = Annotated[str, KnownName(CODE)]
Redemption = Annotated[str, KnownName(REDEMPTION)]
Payout = Annotated[str, KnownName(PAYOUT)]
Contest = Annotated[str, KnownName(CONTEST)]
Rule = Annotated[str, KnownName(RULE)]
Money = Annotated[Decimal, InCurrency()]
Amount = Annotated[Decimal, InAsset()]
KeyAmount = Annotated[Decimal, InKey()]
Attributes = dict[str, str]
When = timedelta | datetime
"""A moment, counted from the scenario's start or absolute."""
