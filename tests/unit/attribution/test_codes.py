"""Codes and link ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attribution.domain.codes import (
    ALPHABET,
    ENTROPY_BYTES,
    generate_code,
    generate_link_id,
    is_code,
    is_link_id,
    normalise,
)

entropy = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


@given(entropy)
def test_a_drawn_code_is_a_normal_code(drawn: bytes) -> None:
    code = generate_code(drawn)
    assert is_code(code)
    assert normalise(code) == normalise(code.lower()) == normalise(f" {code} ") == code
    assert len(code) == 12


@given(entropy)
def test_a_drawn_link_id_is_a_link_id(drawn: bytes) -> None:
    assert is_link_id(generate_link_id(drawn))


@given(entropy, entropy)
def test_other_bytes_make_another_link(one: bytes, other: bytes) -> None:
    tail_bits = (1 << 90) - 1
    same = int.from_bytes(one) & tail_bits == int.from_bytes(other) & tail_bits
    assert (generate_link_id(one) == generate_link_id(other)) == same


def test_nothing_looks_alike() -> None:
    for alike in ("O0", "1IL", "2Z", "5S", "6G", "8B", "UV"):
        assert len(set(alike) & set(ALPHABET)) <= 1
    assert not set("AEIOU") & set(ALPHABET)
    assert len(set(ALPHABET)) == len(ALPHABET)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        generate_code(b"short")


@given(st.text())
def test_what_normalises_to_a_code_was_plain_text(text: str) -> None:
    # Upper case of other scripts must not lead to somebody's code: "ß" is not "SS".
    assert not is_code(normalise(text)) or text.isascii()


@pytest.mark.parametrize("text", ["AB", "A" * 33, "A_B", "A\x00B", "МАРИЯ", "", "ABC\n".strip("\n") + "\n\nX"])
def test_what_is_no_code(text: str) -> None:
    assert not is_code(normalise(text))
