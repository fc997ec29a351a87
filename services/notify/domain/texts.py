"""The texts of a program, as its owner writes them."""

from dataclasses import dataclass

from services.notify.domain.cause import Kind

DEFAULT_LOCALE = "en"
"""The language for participants who chose none, of a program that chose none."""
LOCALES = ("en", "ru")
NAMES_UP_TO_LEVEL = 1
"""How far above a buyer texts call them by their name where a program did not say: to whoever brought them."""


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """The title and the body of a kind of entries, as Jinja2 templates."""

    kind: Kind
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class AssetName:
    """The name of an asset beside a number."""

    asset: str
    forms: tuple[str, ...]
    """The forms for different numbers, in CLDR's order."""


@dataclass(frozen=True, slots=True)
class LocaleTexts:
    """The texts of one language."""

    locale: str
    templates: tuple[TextTemplate, ...]
    asset_names: tuple[AssetName, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramTexts:
    """Everything that a program says in its own words; the built-in texts say what it leaves out."""

    program_title: str
    default_locale: str
    locales: tuple[LocaleTexts, ...]
    names_up_to_level: int | None = None
    """How far above a buyer texts may call them by their name; None if the program did not say."""


@dataclass(frozen=True, slots=True)
class PublishedTexts:
    """One version of a program's texts; version 0 are the built-in ones."""

    version: int
    texts: ProgramTexts
