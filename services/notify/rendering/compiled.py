"""One version of a program's texts, compiled."""

import re
from dataclasses import dataclass

import structlog
from jinja2 import Template

from services.notify.domain.cause import Kind
from services.notify.domain.inbox import Entry, RenderedEntry
from services.notify.domain.texts import DEFAULT_LOCALE, LocaleTexts, ProgramTexts
from services.notify.rendering.builtin import BUILT_IN
from services.notify.rendering.formats import amount_text, plural
from services.notify.rendering.samples import samples
from services.notify.rendering.sandbox import TemplateProblemError, compile_template, render
from services.notify.rendering.variables import variables

_LINE_ENDS = re.compile(r"\s*[\r\n]\s*")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Text:
    """A title and a body, compiled."""

    title: Template
    body: Template

    def render(self, known: dict[str, object]) -> tuple[str, str]:
        """The title and the body, with `known` for the names in them. Raises TemplateProblemError."""
        return _one_line(render(self.title, known)), render(self.body, known).strip()


@dataclass(frozen=True, slots=True)
class CompiledTexts:
    """Everything that a program says in its own words, by language and kind."""

    program_title: str
    default_locale: str
    own: dict[tuple[str, Kind], Text]
    asset_names: dict[str, dict[str, tuple[str, ...]]]
    """The names of assets, by language and asset."""

    def render(self, entry: Entry) -> RenderedEntry:
        """The entry in the participant's language, else in the program's."""
        locale = entry.chosen_locale or self.default_locale
        names = self.asset_names.get(locale, {})
        known = variables(entry, self.program_title or entry.inbox.program_id, locale, names)
        title, body = self._words(entry, locale, known)
        amounts = tuple(
            amount_text(entry.assets[each.asset], each.total_minor, locale, names.get(each.asset, ()))
            for each in entry.amounts
        )
        return RenderedEntry(entry, locale, title, body, amounts)

    def _words(self, entry: Entry, locale: str, known: dict[str, object]) -> tuple[str, str]:
        own = self.own.get((locale, entry.kind))
        if own is not None:
            try:
                return own.render(known)
            except TemplateProblemError as error:
                # Published texts passed the samples; one that fails on a rare entry must not hide the whole inbox.
                log.warning(
                    "text does not render, using the built-in one",
                    program=entry.inbox.program_id,
                    version=entry.texts_version,
                    kind=entry.kind.name,
                    error=error,
                )
        return _BUILT_IN[locale, entry.kind].render(known)


@dataclass(frozen=True, slots=True)
class TextViolation:
    """A fault in one template or name."""

    path: str
    """The path from the texts, such as `locales[0].templates[2].body`."""
    description: str


def compile_texts(texts: ProgramTexts) -> CompiledTexts:
    """The texts, ready to render. Raises TemplateProblemError if they would be refused today."""
    own = {
        (group.locale, each.kind): Text(
            compile_template(each.title, group.locale), compile_template(each.body, group.locale)
        )
        for group in texts.locales
        for each in group.templates
    }
    names = {group.locale: {each.asset: each.forms for each in group.asset_names} for group in texts.locales}
    return CompiledTexts(texts.program_title, texts.default_locale or DEFAULT_LOCALE, own, names)


def violations(texts: ProgramTexts) -> list[TextViolation]:
    """Everything for which texts are refused: languages, kinds or assets said twice, templates that fail on a sample,
    too few or too many forms."""
    found: list[TextViolation] = []
    locales: set[str] = set()
    for position, group in enumerate(texts.locales):
        path = f"locales[{position}]"
        if group.locale in locales:
            found.append(TextViolation(f"{path}.locale", f"{group.locale!r} is there twice"))
        locales.add(group.locale)
        found += _group_violations(group, path)
        found += _name_violations(group, path)
    return found


def _group_violations(group: LocaleTexts, path: str) -> list[TextViolation]:
    found: list[TextViolation] = []
    kinds: set[Kind] = set()
    for position, each in enumerate(group.templates):
        at = f"{path}.templates[{position}]"
        if each.kind in kinds:
            found.append(TextViolation(f"{at}.kind", f"{each.kind.name} is there twice"))
        kinds.add(each.kind)
        for name, source in (("title", each.title), ("body", each.body)):
            try:
                _try(source, each.kind, group.locale)
            except TemplateProblemError as error:
                found.append(TextViolation(f"{at}.{name}", str(error)))
    return found


def _name_violations(group: LocaleTexts, path: str) -> list[TextViolation]:
    found: list[TextViolation] = []
    assets: set[str] = set()
    for position, each in enumerate(group.asset_names):
        at = f"{path}.assets[{position}]"
        if each.asset in assets:
            found.append(TextViolation(f"{at}.asset", f"{each.asset!r} is there twice"))
        assets.add(each.asset)
        try:
            plural(1, each.forms, group.locale)
        except ValueError as error:
            found.append(TextViolation(f"{at}.forms", str(error)))
    return found


def _try(source: str, kind: Kind, locale: str) -> None:
    template = compile_template(source, locale)
    for sample in samples(kind):
        if not render(template, variables(sample, "sample", locale, {})).strip():
            raise TemplateProblemError(1, f"says nothing for an entry of level {sample.level}")


def _one_line(text: str) -> str:
    return _LINE_ENDS.sub(" ", text).strip()


BUILT_IN_TEXTS = compile_texts(BUILT_IN)
_BUILT_IN = BUILT_IN_TEXTS.own
