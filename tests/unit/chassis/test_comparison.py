"""How a difference between publisher and reader is narrowed down to what is missing."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chassis import comparison
from chassis.comparison import (
    QUESTION_BYTES,
    QUESTION_FACTS,
    Answer,
    Difference,
    Fact,
    answer_of,
    compare,
    decode_answer,
    decode_question,
    digest,
    encode_answer,
    encode_question,
    questions,
)

NAMES = st.text(max_size=6)
FACTS = st.lists(st.builds(Fact, NAMES, NAMES), unique=True, max_size=60)


class Reader:
    """Settled some facts and set others aside; names few of them in an answer."""

    def __init__(self, settled: set[Fact], set_aside: set[Fact]) -> None:
        self.settled, self.set_aside = settled, set_aside
        self.questions: list[Sequence[Fact]] = []

    async def ask(self, facts: Sequence[Fact]) -> Answer | None:
        """Answers as over the broker."""
        self.questions.append(facts)
        asked = decode_question(encode_question(facts))
        answer = answer_of(asked, self.settled & set(asked), self.set_aside)
        return decode_answer(encode_answer(answer))


def found(reader: Reader, facts: Sequence[Fact]) -> Difference | None:
    """The difference that a comparison finds."""
    return asyncio.run(compare(reader.ask, facts))


def many(count: int) -> list[Fact]:
    """Facts of one program."""
    return [Fact("program", f"conversion:program/{number}") for number in range(count)]


@given(FACTS, st.data())
def test_exactly_what_is_missing_is_named(facts: list[Fact], data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from("sma"), min_size=len(facts), max_size=len(facts)))
    settled, missing, aside = ({each for each, kind in zip(facts, kinds, strict=True) if kind == one} for one in "sma")
    difference = found(Reader(settled, aside), facts)
    assert difference is not None
    assert set(difference.missing) == missing
    assert set(difference.set_aside) == aside
    assert len(difference.missing) == len(missing)


def test_more_than_an_answer_names_is_found_in_a_bounded_number_of_questions() -> None:
    facts = many(QUESTION_FACTS)
    reader = Reader(set(), set())
    difference = found(reader, facts)
    assert difference is not None
    assert difference.missing == facts
    assert len(reader.questions) <= 2 * 2 * QUESTION_FACTS // comparison.NAMED_FACTS
    assert all(len(each) <= QUESTION_FACTS for each in reader.questions)


def test_equal_facts_take_one_question() -> None:
    facts = many(QUESTION_FACTS)
    reader = Reader(set(facts), set())
    assert found(reader, facts) == Difference()
    assert len(reader.questions) == 1
    assert len(encode_answer(answer_of(facts, set(facts), set()))) < 100


def test_nothing_is_known_where_nobody_answers() -> None:
    async def nobody(_: Sequence[Fact]) -> None:
        return None

    assert asyncio.run(compare(nobody, many(3))) is None


@given(FACTS)
def test_digests_are_equal_for_equal_facts_only(facts: list[Fact]) -> None:
    assert digest(facts) == digest(reversed(facts))
    for place in range(len(facts)):
        assert digest(facts[:place] + facts[place + 1 :]) != digest(facts)


def test_a_question_has_a_bounded_length() -> None:
    long = [Fact("p" * 100, f"{number:02}" + "x" * (QUESTION_BYTES // 8)) for number in range(20)]
    parts = list(questions(long))
    assert [each for part in parts for each in part] == long
    assert all(len(encode_question(part)) < 2 * QUESTION_BYTES for part in parts)
