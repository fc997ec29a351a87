"""Click tokens: only what was signed here can be read here."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attribution.domain.click_token import ClickToken, InvalidTokenError, read, sign

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY = b"k" * 32
TOKEN = ClickToken("uds", "0123456789abcdefgh", UUID(int=7 << 64), datetime(2026, 3, 1, 12, 0, 0, 123456, UTC))
tokens = st.builds(
    ClickToken,
    program_id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    link_id=st.text("0123456789abcdefghjkmnpqrstvwxyz", max_size=64),
    click_id=st.uuids(),
    clicked_at=st.integers(0, 253_000_000_000_000_000).map(lambda each: EPOCH + timedelta(microseconds=each)),
)


@given(tokens, st.binary(min_size=1, max_size=64))
def test_what_is_signed_is_read(token: ClickToken, key: bytes) -> None:
    assert read(key, sign(key, token)) == token


@given(tokens)
def test_a_token_fits_into_a_url(token: ClickToken) -> None:
    assert set(sign(KEY, token)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(tokens, st.data())
def test_a_changed_token_is_refused(token: ClickToken, data: st.DataObject) -> None:
    text = sign(KEY, token)
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_").filter(lambda char: char != text[position]))
    with pytest.raises(InvalidTokenError):
        read(KEY, text[:position] + other + text[position + 1 :])


@given(tokens, st.data())
def test_a_token_cut_off_is_refused(token: ClickToken, data: st.DataObject) -> None:
    text = sign(KEY, token)
    with pytest.raises(InvalidTokenError):
        read(KEY, text[: data.draw(st.integers(0, len(text) - 1))])


def test_another_key_refuses() -> None:
    with pytest.raises(InvalidTokenError):
        read(b"o" * 32, sign(KEY, TOKEN))


@given(st.text(max_size=600))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        read(KEY, text)


@pytest.mark.parametrize("suffix", ["=", "==", "A", " ", "\n"])
def test_there_is_one_spelling(suffix: str) -> None:
    with pytest.raises(InvalidTokenError):
        read(KEY, sign(KEY, TOKEN) + suffix)


def test_another_version_is_refused() -> None:
    body = bytearray(urlsafe_b64decode(sign(KEY, TOKEN) + "==")[:-16])
    body[0] = 2
    signed = bytes(body) + blake2b(body, digest_size=16, key=KEY, person=b"upline click").digest()
    with pytest.raises(InvalidTokenError, match="version 2"):
        read(KEY, urlsafe_b64encode(signed).decode().rstrip("="))


def test_microseconds_survive() -> None:
    moment = TOKEN.clicked_at + timedelta(microseconds=1)
    token = ClickToken(TOKEN.program_id, TOKEN.link_id, TOKEN.click_id, moment)
    assert read(KEY, sign(KEY, token)).clicked_at == moment
