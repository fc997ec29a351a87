"""One version of a program's texts, each compiled when it is first needed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import structlog
from jinja2 import Template
from prometheus_client import Counter

from services.notify.domain.cause import Kind
from services.notify.domain.inbox import Entry, RenderedEntry
from services.notify.domain.texts import (
    DEFAULT_LOCALE,
    NAMES_UP_TO_LEVEL,
    LocaleTexts,
    ProgramTexts,
    TextTemplate,
)
from services.notify.rendering.builtin import BUILT_IN
from services.notify.rendering.formats import amount_text, plural
from services.notify.rendering.meter import Bounds
from services.notify.rendering.samples import samples
from services.notify.rendering.sandbox import BUILT_IN_TEXTS as BUILT_IN_BOUNDS
from services.notify.rendering.sandbox import OWN_TEXTS, TemplateProblemError, compile_template, render
from services.notify.rendering.variables import variables

_LINE_ENDS = re.compile(r"[\r\n]")

MAX_VIOLATIONS = 100
"""The most faults that are looked for. A program has some twenty texts; a request can hold hundreds of one kind twice,
and each would be tried."""

Problem = tuple[int, str]
"""The line and the problem of a text that does not compile, of which an error is made anew each time."""

log = structlog.get_logger(__name__)
_UNRENDERED = Counter(
    "upline_texts_unrendered", "Entries told in the built-in words because the program's own text failed on them."
)


@dataclass(frozen=True, slots=True)
class Text:
    """A title and a body, compiled."""

    title: Template
    body: Template

    def render(self, known: dict[str, object]) -> tuple[str, str]:
        """The title and the body, with `known` for the names in them. Raises TemplateProblemError."""
        return _one_line(render(self.title, known)), render(self.body, known).strip()


@dataclass(slots=True)
class CompiledTexts:
    """Everything that a program says in its own words, by language and kind."""

    program_title: str
    default_locale: str
    templates: Mapping[tuple[str, Kind], TextTemplate]
    asset_names: Mapping[str, Mapping[str, tuple[str, ...]]]
    """The names of assets, by language and asset."""
    names_up_to_level: int = NAMES_UP_TO_LEVEL
    bounds: Bounds = OWN_TEXTS
    compiled_characters: int = 0
    """The length of all templates that are compiled, by which the memory for them grows."""
    _compiled: dict[tuple[str, Kind], Text | Problem] = field(default_factory=dict)
    _told: set[tuple[str, Kind]] = field(default_factory=set)
    """The texts of which the log told that they failed: it does so once for each, not for each entry."""

    def is_ready(self, entry: Entry) -> bool:
        """Whether the entry can be rendered without compiling, which takes up to half a second."""
        key = self._locale(entry), entry.kind
        return key in self._compiled or key not in self.templates

    def prepare(self, entry: Entry) -> None:
        """Compiles what the entry needs."""
        self._text(self._locale(entry), entry.kind)

    def render(self, entry: Entry) -> RenderedEntry:
        """The entry in the participant's language, else in the program's."""
        locale = self._locale(entry)
        names = self.asset_names.get(locale, {})
        known = variables(entry, self.program_title or entry.inbox.program_id, locale, names)
        title, body = self._words(entry, locale, known)
        amounts = tuple(
            amount_text(entry.assets[each.asset], each.total_minor, locale, names.get(each.asset, ()))
            for each in entry.amounts
        )
        return RenderedEntry(entry, locale, title, body, amounts)

    def _words(self, entry: Entry, locale: str, known: dict[str, object]) -> tuple[str, str]:
        if (locale, entry.kind) in self.templates:
            try:
                return self._text(locale, entry.kind).render(known)
            except TemplateProblemError as error:
                # Published texts passed the samples; one that fails on a rare entry must not hide the whole inbox.
                self._note_failure(entry, locale, error)
        return BUILT_IN_TEXTS._text(locale, entry.kind).render(known)

    def _text(self, locale: str, kind: Kind) -> Text:
        """The text, compiled. Raises TemplateProblemError if it would not even be tried today."""
        if (found := self._compiled.get((locale, kind))) is None:
            template = self.templates[locale, kind]
            self.compiled_characters += len(template.title) + len(template.body)
            found = _compile(template, locale, self.bounds)
            self._compiled[locale, kind] = found
        if isinstance(found, Text):
            return found
        raise TemplateProblemError(*found)

    def _note_failure(self, entry: Entry, locale: str, error: TemplateProblemError) -> None:
        _UNRENDERED.inc()
        if (locale, entry.kind) in self._told:
            return
        self._told.add((locale, entry.kind))
        log.warning(
            "text does not render, using the built-in one",
            program=entry.inbox.program_id,
            version=entry.texts_version,
            locale=locale,
            kind=entry.kind.name,
            error=error,
        )

    def _locale(self, entry: Entry) -> str:
        return entry.chosen_locale or self.default_locale


def _compile(template: TextTemplate, locale: str, bounds: Bounds) -> Text | Problem:
    try:
        title = compile_template(template.title, locale, bounds)
        return Text(title, compile_template(template.body, locale, bounds))
    except TemplateProblemError as error:
        return error.line, error.problem


@dataclass(frozen=True, slots=True)
class TextViolation:
    """A fault in one template or name."""

    path: str
    """The path from the texts, such as `locales[0].templates[2].body`."""
    description: str


def compile_texts(texts: ProgramTexts, bounds: Bounds = OWN_TEXTS) -> CompiledTexts:
    """The texts, each compiled when it is first needed. One that would be refused today gives way to the built-in one;
    the others are told as they stand."""
    templates = {(group.locale, each.kind): each for group in texts.locales for each in group.templates}
    names = {group.locale: {each.asset: each.forms for each in group.asset_names} for group in texts.locales}
    level = NAMES_UP_TO_LEVEL if texts.names_up_to_level is None else texts.names_up_to_level
    return CompiledTexts(texts.program_title, texts.default_locale or DEFAULT_LOCALE, templates, names, level, bounds)


def violations(texts: ProgramTexts) -> list[TextViolation]:
    """Everything for which texts are refused, up to MAX_VIOLATIONS: languages, kinds or assets said twice, templates
    that fail on a sample, too few or too many forms."""
    return list(islice(_violations(texts), MAX_VIOLATIONS))


def _violations(texts: ProgramTexts) -> Iterator[TextViolation]:
    locales: set[str] = set()
    for position, group in enumerate(texts.locales):
        path = f"locales[{position}]"
        if group.locale in locales:
            yield TextViolation(f"{path}.locale", f"{group.locale!r} is there twice")
        locales.add(group.locale)
        yield from _group_violations(group, path)
        yield from _name_violations(group, path)


def _group_violations(group: LocaleTexts, path: str) -> Iterator[TextViolation]:
    kinds: set[Kind] = set()
    for position, each in enumerate(group.templates):
        at = f"{path}.templates[{position}]"
        if each.kind in kinds:
            yield TextViolation(f"{at}.kind", f"{each.kind.name} is there twice")
        kinds.add(each.kind)
        for name, source in (("title", each.title), ("body", each.body)):
            try:
                _try(source, each.kind, group.locale)
            except TemplateProblemError as error:
                yield TextViolation(f"{at}.{name}", str(error))


def _name_violations(group: LocaleTexts, path: str) -> Iterator[TextViolation]:
    assets: set[str] = set()
    for position, each in enumerate(group.asset_names):
        at = f"{path}.assets[{position}]"
        if each.asset in assets:
            yield TextViolation(f"{at}.asset", f"{each.asset!r} is there twice")
        assets.add(each.asset)
        try:
            plural(1, each.forms, group.locale)
        except ValueError as error:
            yield TextViolation(f"{at}.forms", str(error))


def _try(source: str, kind: Kind, locale: str) -> None:
    template = compile_template(source, locale)
    for sample in samples(kind):
        if not render(template, variables(sample, sample.inbox.program_id, locale, {})).strip():
            raise TemplateProblemError(1, f"says nothing for an entry of level {sample.level}")


def _one_line(text: str) -> str:
    # Line by line: one pattern for the spaces around a line end looks at each run of spaces again from each of them.
    lines = (each.strip() for each in _LINE_ENDS.split(text))
    return " ".join(each for each in lines if each)


BUILT_IN_TEXTS = compile_texts(BUILT_IN, BUILT_IN_BOUNDS)
