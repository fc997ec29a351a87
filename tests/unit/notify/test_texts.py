"""The texts that are accepted, and what they say."""

import dataclasses

import pytest

from services.notify.domain.cause import Kind
from services.notify.domain.texts import LOCALES, AssetName, LocaleTexts, ProgramTexts, TextTemplate
from services.notify.rendering.compiled import BUILT_IN_TEXTS, compile_texts, violations
from services.notify.rendering.samples import samples


def with_body(body: str, locale: str = "ru", title: str = "t") -> ProgramTexts:
    return ProgramTexts("", "", (LocaleTexts(locale, (TextTemplate(Kind.EARNED, title, body),)),))


@pytest.mark.parametrize(
    ("body", "line", "problem"),
    [
        ("Hello\n{{ nope }}", 2, "'nope' is undefined"),
        ("\n\n{% if %}", 3, "Expected an expression"),
        ("{{ amount", 1, "unexpected end"),
        ("{% if held and own %}\n{{ nope }}{% endif %}x", 2, "undefined"),
        ("{{ amount.__class__ }}", 1, "unsafe"),
        ("{{ 'a' * 1000000000 }}", 1, "mul is not available"),
        ("{{ 9 ** 9 ** 9 }}", 1, "pow is not available"),
        ("{{ '%1000000000d' % 1 }}", 1, "mod is not available"),
        ("{{ '{:1000000000}'.format(1) }}", 1, "call is not available"),
        ("{% set a = 'a' %}{{ a }}", 1, "assign is not available"),
        ("{% for a in 'xy' %}\n{% for b in 'xy' %}{% endfor %}{% endfor %}", 2, "a loop cannot be inside another"),
        ("{% macro m() %}{% endmacro %}x", 1, "macro is not available"),
        ("{% include 'x' %}", 1, "include is not available"),
        ("{{ amount|center(1000000000) }}", 1, "No filter named 'center'"),
        ("{{ amounts[0].number|plural('балл', 'балла') }}", 1, "3 forms"),
        ("{{ amounts[1].text }}", 1, "no element 1"),
        ("{% if own %}only to myself{% endif %}", 1, "says nothing for an entry of level 1"),
        ("{{ " + "(" * 2400 + "1" + ")" * 2400 + " }}", 1, "too deeply"),
    ],
)
def test_bad_templates_are_named_with_their_line(body: str, line: int, problem: str) -> None:
    [found] = violations(with_body(body))
    assert found.path == "locales[0].templates[0].body"
    assert found.description.startswith(f"line {line}: ")
    assert problem in found.description


def test_titles_are_checked_too_and_nothing_is_said_twice() -> None:
    template = TextTemplate(Kind.EARNED, "{{ nope }}", "b")
    texts = ProgramTexts("", "", (LocaleTexts("en", ()), LocaleTexts("en", (template, template))))
    assert [each.path for each in violations(texts)] == [
        "locales[1].locale",
        "locales[1].templates[0].title",
        "locales[1].templates[1].kind",
        "locales[1].templates[1].title",
    ]


def test_what_a_program_leaves_out_the_built_in_texts_say() -> None:
    compiled = compile_texts(
        with_body("{{ program }}: {{ amounts[0].number|plural('балл', 'балла', 'баллов') }}", title="a\n b\xa0c")
    )
    entry = next(samples(Kind.EARNED))
    russian = compiled.render(dataclasses.replace(entry, chosen_locale="ru"))
    assert (russian.title, russian.body, russian.locale) == ("a b\xa0c", "sample: балл", "ru")
    assert compiled.render(entry).title == "You earned 1 point"


def test_a_program_names_its_assets_in_each_language() -> None:
    names = (AssetName("points", ("звезда", "звезды", "звёзд")),)
    compiled = compile_texts(ProgramTexts("", "ru", (LocaleTexts("ru", (), names),)))
    entry = next(samples(Kind.HELD))
    told = compiled.render(entry)
    assert (told.title, told.amounts) == ("Скоро у вас: 1 звезда", ("1 звезда",))
    assert "вы получаете 1 звезда" in told.body.lower()
    assert compiled.render(dataclasses.replace(entry, chosen_locale="en")).amounts == ("1 point",)


def test_names_with_the_wrong_number_of_forms_are_refused() -> None:
    names = (AssetName("gold", ("gold", "gold")), AssetName("stars", ("star",)), AssetName("gold", ("a", "b")))
    found = violations(ProgramTexts("", "", (LocaleTexts("en", (), names),)))
    assert [each.path for each in found] == ["locales[0].assets[1].forms", "locales[0].assets[2].asset"]
    assert "takes 2 forms in 'en'" in found[0].description


def test_a_text_that_fails_on_a_rare_entry_gives_way_to_the_built_in_one() -> None:
    texts = with_body("{{ 'rare' if event_type == 'order' else nope }}", "en")
    assert violations(texts) == []
    entry = dataclasses.replace(next(samples(Kind.EARNED)), event_type="lead")
    assert "lead" in compile_texts(texts).render(entry).body


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("locale", LOCALES)
def test_built_in_texts_name_the_amount_and_whose_conversion_it_was(kind: Kind, locale: str) -> None:
    for entry in samples(kind):
        rendered = BUILT_IN_TEXTS.render(dataclasses.replace(entry, chosen_locale=locale))
        assert all(amount in rendered.title and amount in rendered.body for amount in rendered.amounts)
        assert ("Vera" in rendered.body) == (entry.level > 0 and entry.buyer_name == "Vera")
        assert ("friend" in rendered.body or "друг" in rendered.body) or entry.level == 0 or entry.buyer_name
        assert "vera" not in rendered.body
        assert "olga" not in rendered.body
        assert ".." not in rendered.body
        assert "  " not in rendered.body
        assert entry.reason in rendered.body
    if kind is Kind.HELD:
        assert "2026" in rendered.body


def test_built_in_texts_pass_their_own_check() -> None:
    from services.notify.rendering.builtin import BUILT_IN

    assert violations(BUILT_IN) == []
