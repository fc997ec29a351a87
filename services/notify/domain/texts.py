"""The texts of a program, as its owner writes them."""

from dataclasses import dataclass

from services.notify.domain.cause import Kind

DEFAULT_LOCALE = "en"
"""The language where neither the participant nor the program chose one."""
LOCALES = ("en", "ru")


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A title and a body, Jinja2 templates."""

    kind: Kind
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class AssetName:
    """How people call an asset beside a number."""

    asset: str
    forms: tuple[str, ...]
    """In CLDR's order."""


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


@dataclass(frozen=True, slots=True)
class PublishedTexts:
    """One version of a program's texts; version 0 are the built-in ones."""

    version: int
    texts: ProgramTexts
