"""Texts have a price: whatever a template asks for, a rendering makes little, and ends."""

import dataclasses
import tracemalloc

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.notify.domain.cause import Amount, Kind
from services.notify.domain.texts import LocaleTexts, ProgramTexts, TextTemplate
from services.notify.rendering import compiled
from services.notify.rendering.compiled import BUILT_IN_TEXTS, MAX_VIOLATIONS, compile_texts, violations
from services.notify.rendering.samples import samples
from services.notify.rendering.sandbox import OWN_TEXTS, TemplateProblemError, compile_template, render
from services.notify.rendering.variables import variables

MOST_MEMORY = 2_000_000
"""The most memory of a rendering that does its worst: some times the size of the longest text."""


MOST_TO_COMPILE = 20_000_000
"""The most memory of the compiler besides, for the longest template."""


def with_body(body: str, title: str = "t") -> ProgramTexts:
    return ProgramTexts("", "", (LocaleTexts("en", (TextTemplate(Kind.EARNED, title, body),)),))


def joined(steps: int) -> str:
    text = "program"
    for _ in range(steps):
        text = f"({text})|join({text})"
    return text


def quoted(steps: int) -> str:
    text = "'\\\\'"
    for _ in range(steps):
        text = f"({text},)~''"
    return text


COSTLY = {
    "a join squares a text": "{{ " + joined(3) + " }}",
    "a join that is only counted": "x{{ (" + joined(3) + ")|length }}",
    "a join in a condition": "x{% if (" + joined(3) + ") == '' %}y{% endif %}",
    "a join with an attribute": "{{ (amounts + amounts)|join(" + joined(3) + ", 'text') }}",
    "quotes in quotes double": "x{{ (" + quoted(16) + ")|length }}",
    "quotes through a filter": "x{{ ((" + quoted(16) + ",)|upper)|length }}",
    "a loop repeats words": "{% for a in '" + "x" * 500 + "' %}" + "y" * 500 + "{% endfor %}",
    "a loop repeats a value": "{% for a in '" + "x" * 300 + "' %}" + "{{ program }}" * 100 + "{% endfor %}",
    "a loop builds and says nothing": "x{% for a in '" + "x" * 300 + "' %}{% if "
    + "~".join(["program"] * 100) + " == '' %}y{% endif %}{% endfor %}",
    "a loop adds and says nothing": "x{% for a in '" + "x" * 300 + "' %}{% if "
    + "+".join(["program"] * 50) + " == '' %}y{% endif %}{% endfor %}",
    "a loop compares and says nothing": "x{% for a in '" + "x" * 300 + "' %}{% if '" + "z" * 900
    + "' in program %}y{% endif %}{% endfor %}",
    "a loop tests and says nothing": "x{% for a in '" + "x" * 300 + "' %}{% if program is eq '" + "z" * 900
    + "' %}y{% endif %}{% endfor %}",
    "a loop takes many steps": "x{% for a in '" + "x" * 900 + "' %}" + "{% if own %}{% endif %}" * 100 + "{% endfor %}",
    "a loop lists its item": "{% for a in ('" + "z" * 900 + "',) %}{{ (" + "a," * 900 + ") }}{% endfor %}",
    "a plural counts with a long number": "{{ '1e300000'|plural('a', 'b') }}",
    "a plural counts with a fine number": "{{ '1e-300000'|plural('a', 'b') }}",
    "half a character cannot be sent": "{{ '\\ud800' }}",
    "a number that cannot be read": "{{ " + "9" * 4_900 + " }}",
    "a number that cannot be written": "{{ 0x" + "f" * 4_900 + " }}",
}  # fmt: skip


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
def test_what_costs_too_much_is_refused_before_it_is_made(body: str) -> None:
    assert len(body) <= 5_000
    BUILT_IN_TEXTS.render(next(samples(Kind.EARNED)))  # what is made once is made before
    violations(with_body("{{ amount }}"))
    tracemalloc.start()
    [found] = violations(with_body(f"\n{body}"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.path == "locales[0].templates[0].body"
    assert found.description.startswith(("line 2: ", "line 1: has "))
    assert peak < MOST_TO_COMPILE


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
def test_a_stored_text_that_costs_too_much_gives_way_to_the_built_in_one(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A logger that was used before goes on with the configuration of then.
    monkeypatch.setattr(compiled, "log", structlog.get_logger("test"))
    texts = compile_texts(with_body(body))
    entry = next(samples(Kind.EARNED))
    before = compiled._UNRENDERED._value.get()
    with capture_logs() as logs:
        told = [texts.render(entry) for _ in range(3)]
    assert told == [BUILT_IN_TEXTS.render(entry)] * 3
    assert compiled._UNRENDERED._value.get() == before + 3
    assert [(each["program"], each["kind"], each["locale"]) for each in logs] == [("sample", "EARNED", "en")]


def test_the_advice_says_what_to_write_instead() -> None:
    [work] = violations(with_body(COSTLY["a join squares a text"]))
    assert "takes more than 10,000 characters and steps to work out; write the text out" in work.description
    [size] = violations(with_body(COSTLY["a loop repeats words"]))
    assert "says more than 32,000 bytes; write a shorter text" in size.description
    [number] = violations(with_body(COSTLY["a plural counts with a long number"]))
    assert "such as `amounts[0].number`" in number.description


def test_texts_of_people_are_far_within_the_bounds() -> None:
    longest = "Привет, {{ buyer }}! " + "я" * 4_900 + "{% for a in amounts %}{{ a.text }}{% endfor %}"
    loop = (
        "{% for a in amounts if a.held %}{{ loop.index }}. {{ a.text|upper ~ ', ' ~ a.held }}\n{% endfor %}{{ buyer }}"
    )
    for body in (longest, loop, "{{ amounts|join(', ', 'text')|trim }}", "{{ (amount, event)|join(': ') }}"):
        assert violations(with_body(body)) == []
    entry = next(samples(Kind.EARNED))
    many = dataclasses.replace(entry, amounts=tuple(Amount("points", each, each) for each in range(1, 51)))
    told = compile_texts(with_body(loop)).render(many)
    assert told.body.startswith("1. 0.1 POINTS, 0.1 points\n2. 0.2 POINTS")
    assert "50. 5 POINTS" in told.body


def test_built_in_texts_are_told_whatever_the_values() -> None:
    entry = dataclasses.replace(next(samples(Kind.REJECTED)), reason="r" * 100_000, buyer_id="b" * 100_000, level=2)
    assert entry.reason in BUILT_IN_TEXTS.render(entry).body


def test_spaces_of_a_title_cost_no_more_than_their_number() -> None:
    spaces = "{% for a in 'xxxx' %}" + " " * 400 + "{% endfor %}"
    told = compile_texts(with_body("b", title=f"a{spaces}b \n\r c")).render(next(samples(Kind.EARNED)))
    assert told.title == "a" + " " * 1_600 + "b c"


def test_no_more_faults_are_looked_for_than_are_told() -> None:
    same = (TextTemplate(Kind.EARNED, "t", "b"),) * 300
    assert len(violations(ProgramTexts("", "", (LocaleTexts("en", same),)))) == MAX_VIOLATIONS


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda each: f"({each[0]})|join({each[1]})"),
        pair.map(lambda each: f"({each[0]} ~ {each[1]})"),
        pair.map(lambda each: f"({each[0]}, {each[1]})"),
        pair.map(lambda each: f"({each[0]} + {each[1]})"),
        pair.map(lambda each: f"({each[0]} in {each[1]})"),
        st.tuples(
            inner, st.sampled_from(["upper", "trim", "capitalize", "first", "last", "length", "default('x')"])
        ).map(lambda each: f"({each[0]})|{each[1]}"),
    )


EXPRESSIONS = st.recursive(
    st.sampled_from(["amount", "amounts", "a", "'\\\\'", "'\\U0010ffff'", "loop", "1", "program", "amounts[0].number"]),
    _larger,
    max_leaves=60,
)


@given(looped=EXPRESSIONS, said=EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_nothing_that_can_be_written_makes_much(looped: str, said: str) -> None:
    known = variables(next(samples(Kind.EARNED)), "p" * 200, "en", {})
    source = f"{{% for a in {looped} %}}{{{{ {said} }}}}{{% if {said} %}}x{{% endif %}}{{% endfor %}}"
    try:
        template = compile_template(source, "en")
    except TemplateProblemError:
        return
    tracemalloc.start()
    try:
        assert len(render(template, known).encode()) <= OWN_TEXTS.bytes
    except TemplateProblemError:
        pass  # most of them ask for what is not there, or for too much
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST_MEMORY
