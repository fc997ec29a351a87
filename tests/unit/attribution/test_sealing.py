"""Clicks on their way to the stream, and from there to the table."""

from string import ascii_lowercase, digits
from uuid import UUID

import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.attribution.v1.click_pb2 import Click, ClickBatch

from chassis.errors import UplineError
from chassis.ids import id_time
from services.attribution.domain.referring_host import referrer_host
from services.attribution.wire.click_rows import encode
from services.attribution.wire.click_rules import conforms, new_click_id
from services.attribution.wire.clicks import Sealer, clicked_at_us
from services.attribution.wire.plain_clicks import plain_clicks

NOW_MS = 1_780_000_000_000
DAY_MS = 86_400_000
TELEGRAM = "TelegramBot (like TwitterBot)"


def lengths(limit: int) -> st.SearchStrategy[int]:
    return st.sampled_from([0, 1, limit - 1, limit, limit + 1])


@given(
    st.fixed_dictionaries(
        {
            "click_id": lengths(16).map(bytes),
            "program_id": lengths(63).map(lambda n: "п" * n),
            "link_id": lengths(64).map(lambda n: "l" * n),
            "visitor_id": lengths(128).map(lambda n: "😀" * n),
            "ip_address": lengths(45).map(lambda n: "1" * n),
            "user_agent": lengths(1024).map(lambda n: "u" * n),
            "referrer_url": lengths(2048).map(lambda n: "r" * n),
            "ip_hash": lengths(16).map(bytes),
            "user_agent_hash": lengths(16).map(bytes),
            "kind": st.sampled_from([-1, 0, 1, 2, 3]),
        }
    )
)
def test_the_quick_check_says_what_the_contract_says(fields: dict[str, object]) -> None:
    click = Click(**fields)  # type: ignore[arg-type]
    assert conforms(click) == (not protovalidate.collect_violations(click))


def test_the_quick_check_knows_every_field() -> None:
    checked = {"click_id", "program_id", "link_id", "visitor_id", "ip_address", "user_agent", "referrer_url"}
    checked |= {"ip_hash", "user_agent_hash", "kind"}
    assert {field.name for field in Click.DESCRIPTOR.fields} == checked | {"occurred_at"}


@given(st.integers(0, (1 << 48) - 1))
def test_a_made_id_is_a_uuid_of_its_time(unix_ms: int) -> None:
    made = UUID(bytes=new_click_id(unix_ms))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == unix_ms
    if unix_ms < 253_000_000_000_000:
        assert id_time(made).timestamp() == pytest.approx(unix_ms / 1000)


def test_hashes_tell_keys_and_fields_apart() -> None:
    one, other = Click(ip_address="x", user_agent="x"), Click(ip_address="x", user_agent="x")
    Sealer(b"a" * 32).seal(one, "click", NOW_MS)
    Sealer(b"b" * 32).seal(other, "click", NOW_MS)
    assert len({one.ip_hash, one.user_agent_hash, other.ip_hash, other.user_agent_hash}) == 4
    assert one.ip_address == one.user_agent == ""


@pytest.mark.parametrize(
    ("user_agent", "stated", "kind"),
    [
        ("Firefox", 0, 0),
        ("Firefox", 1, 1),
        ("Firefox", 2, 2),
        ("", 0, 0),
        ("", 2, 2),
        (TELEGRAM, 0, 2),
        (TELEGRAM, 1, 2),
    ],
)
def test_a_known_program_is_a_machine_whatever_is_stated(user_agent: str, stated: int, kind: int) -> None:
    sealer = Sealer(b"k" * 32)
    for _ in range(2):  # looked at, then remembered
        click = Click(user_agent=user_agent, kind=stated)  # type: ignore[arg-type]
        sealer.seal(click, "click", NOW_MS)
        assert (click.kind, click.user_agent) == (kind, "")


@pytest.mark.parametrize(
    ("age_ms", "accepted"),
    [(2 * DAY_MS, True), (2 * DAY_MS + 1, False), (-3_600_000, True), (-3_600_001, False)],
)
def test_the_limits_of_a_clicks_time(age_ms: int, accepted: bool) -> None:
    sealer = Sealer(b"k" * 32)
    by_id = Click(click_id=new_click_id(NOW_MS - age_ms))
    by_time = Click(click_id=new_click_id(NOW_MS))
    by_time.occurred_at.FromMilliseconds(NOW_MS - age_ms)
    for click in (by_id, by_time):
        if accepted:
            sealer.seal(click, "click", NOW_MS)
            assert clicked_at_us(click) == (NOW_MS - age_ms) * 1000
        else:
            with pytest.raises(UplineError, match="2 days ago"):
                sealer.seal(click, "click", NOW_MS)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pw@News.Example:8080/p?q=1", "news.example"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("https://[::1]/", ""),
        ("vera@example.com", ""),
        ("//host/", ""),
        ("https://\x00", ""),
        ("", ""),
    ],
)
def test_of_a_referrer_only_the_host_is_kept(url: str, host: str) -> None:
    assert referrer_host(url) == host


@given(st.text(max_size=50))
def test_a_host_is_plain(url: str) -> None:
    assert set(referrer_host(f"https://{url}")) <= set(ascii_lowercase + digits + ".-_")


def test_rows_name_the_days_they_need() -> None:
    made = [Click(click_id=new_click_id(day * DAY_MS), program_id="p", link_id="l") for day in (20_000, 20_001, 20_001)]
    found = encode([ClickBatch(clicks=made[:1]).SerializeToString(), ClickBatch(clicks=made[1:]).SerializeToString()])
    assert (found.click_count, found.days) == (3, {20_000, 20_001})


def test_an_unsealed_click_makes_no_row() -> None:
    with pytest.raises(ValueError, match="without an id"):
        encode([ClickBatch(clicks=[Click(program_id="p")]).SerializeToString()])


any_clicks = st.builds(
    Click,
    click_id=st.sampled_from(
        [b"", b"short", bytes(16), *(new_click_id(NOW_MS + each) for each in (0, -DAY_MS, DAY_MS))]
    ),
    program_id=st.sampled_from(["p", "q", "", "p" * 64, "p\x00"]),
    link_id=st.sampled_from(["l", "m", "", "l" * 65]),
    visitor_id=st.sampled_from(["", "v", "v" * 129, "\x00"]),
    ip_address=st.sampled_from(["", "203.0.113.7", "1" * 46]),
    user_agent=st.sampled_from(["", "Firefox", TELEGRAM, "u" * 1025]),
    referrer_url=st.sampled_from(["", "https://news.example/x", "nowhere", "r" * 2049]),
    ip_hash=st.sampled_from([b"", b"forged"]),
    kind=st.sampled_from([-1, 0, 1, 2, 3]),
)
good_clicks = st.builds(
    Click,
    click_id=st.integers(-DAY_MS, 0).map(lambda age: new_click_id(NOW_MS + age)),
    program_id=st.sampled_from("pq"),
    link_id=st.sampled_from("lm"),
    visitor_id=st.sampled_from(["", "v"]),
    ip_address=st.sampled_from(["", "203.0.113.7"]),
    user_agent=st.sampled_from(["", "Firefox", TELEGRAM]),
    referrer_url=st.sampled_from(["", "https://news.example/x", "nowhere"]),
    kind=st.sampled_from([0, 1, 2]),
)


@given(st.lists(good_clicks, min_size=1, max_size=20))
def test_regular_clicks_are_sealed_together_as_one_by_one(clicks: list[Click]) -> None:
    sealer = Sealer(b"k" * 32)
    together, alone = ClickBatch(clicks=clicks), ClickBatch(clicks=clicks)
    assert sealer.seal_regular(together.clicks, NOW_MS) == {(each.program_id, each.link_id) for each in clicks}
    for click in alone.clicks:
        sealer.seal(click, "click", NOW_MS)
    assert together == alone


@given(st.lists(good_clicks, max_size=3), any_clicks, st.lists(good_clicks, max_size=3))
def test_an_irregular_click_is_left_to_the_careful_way(before: list[Click], odd: Click, after: list[Click]) -> None:
    sealer = Sealer(b"k" * 32)
    batch = ClickBatch(clicks=[*before, odd, *after])
    untouched = batch.SerializeToString()
    if sealer.seal_regular(batch.clicks, NOW_MS) is None:
        assert batch.SerializeToString() == untouched
    else:
        assert conforms(odd)
        sealer.seal(odd, "click", NOW_MS)
        assert batch.clicks[len(before)] == odd


@st.composite
def nearly_plain(draw: st.DrawFn) -> Click:
    """A click that is plain, or is so but for one thing."""
    click = Click(
        click_id=new_click_id(NOW_MS + draw(st.sampled_from([-3 * DAY_MS, -DAY_MS, 0, 2 * 3_600_000]))),
        program_id=draw(st.sampled_from(["shop", "p" * 63, "p" * 64, "sh.p", "", "п", "s\x00"])),
        link_id=draw(st.sampled_from(["link", "knil", "l" * 64, "l" * 65, "", "l\x00", "ль", "ы" * 33, "l" * 66])),
        visitor_id=draw(st.sampled_from(["v" * 32, "w" * 32, "", "v", "v" * 127, "v" * 128, "я" * 16, "\x00" * 32])),
    )
    extra = draw(st.sampled_from([None, "ip_address", "referrer_url", "occurred_at", "ip_hash", "kind", "unknown"]))
    if extra == "occurred_at":
        click.occurred_at.FromMilliseconds(NOW_MS)
    elif extra == "ip_hash":
        click.ip_hash = b"x"
    elif extra == "kind":
        click.kind = 2
    elif extra == "unknown":
        click.MergeFromString(b"\xba\x06\x01x")  # field 103
    elif extra:
        setattr(click, extra, "1.2.3.4")
    return click


PLAIN = Click(click_id=new_click_id(NOW_MS), program_id="shop", link_id="link", visitor_id="v" * 32)
OTHER = Click(click_id=new_click_id(NOW_MS - 1), program_id="shop", link_id="knil", visitor_id="w" * 32)
PLAIN_FRAME = ClickBatch(clicks=[PLAIN]).SerializeToString()


@given(st.lists(st.one_of(st.just(PLAIN), nearly_plain()), min_size=1, max_size=6))
def test_clicks_taken_as_plain_are_those_that_sealing_would_leave_alone(clicks: list[Click]) -> None:
    frame = ClickBatch(clicks=clicks).SerializeToString()
    plain = plain_clicks(frame)
    sealed = ClickBatch(clicks=clicks)
    sealed.DiscardUnknownFields()
    regular = Sealer(b"key").seal_regular(sealed.clicks, NOW_MS)
    if plain is not None:
        assert plain.are_timely(NOW_MS) == (regular is not None)
        assert regular is None or plain.links() == regular
        assert sealed.SerializeToString() == plain.frame == frame
        assert plain.click_ids == tuple(each.click_id for each in clicks)
        assert plain.link_ids == tuple(each.link_id.encode() for each in clicks)
    if all(each == PLAIN for each in clicks):
        assert plain is not None


@given(st.lists(st.sampled_from([PLAIN, OTHER]), min_size=1, max_size=6), st.data())
def test_no_byte_of_plain_clicks_can_be_changed_unnoticed(clicks: list[Click], data: st.DataObject) -> None:
    frame = bytearray(ClickBatch(clicks=clicks).SerializeToString())
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    plain = plain_clicks(bytes(frame))
    if plain is not None:
        sealed = ClickBatch.FromString(frame)
        regular = Sealer(b"key").seal_regular(sealed.clicks, NOW_MS)
        assert plain.are_timely(NOW_MS) == (regular is not None)
        assert sealed.SerializeToString() == plain.frame
        assert plain.link_ids == tuple(each.link_id.encode() for each in sealed.clicks)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_clicks_are_not_plain(body: bytes) -> None:
    for frame in (body, b"\n" + body, PLAIN_FRAME[:30] + body, PLAIN_FRAME + body):
        plain = plain_clicks(frame)
        assert plain is None or ClickBatch.FromString(frame).SerializeToString() == frame


@pytest.mark.parametrize("count", [1, 499, 500, 501, 999, 1000])
def test_plain_clicks_part_between_clicks(count: int) -> None:
    clicks = [PLAIN, OTHER] * (count // 2) + [PLAIN] * (count % 2)
    plain = plain_clicks(ClickBatch(clicks=clicks).SerializeToString())
    assert plain is not None
    parts = plain.parts(500)
    assert [each for frame, _ in parts for each in ClickBatch.FromString(frame).clicks] == clicks
    assert [len(ClickBatch.FromString(frame).clicks) for frame, _ in parts] == [size for _, size in parts]
    assert max(size for _, size in parts) <= 500


def test_more_clicks_than_a_call_may_have_are_not_plain() -> None:
    assert plain_clicks(PLAIN_FRAME * 1001) is None


@given(nearly_plain(), st.integers(1, 5))
def test_any_plain_click_is_taken_as_plain(click: Click, count: int) -> None:
    frame = ClickBatch(clicks=[click] * count).SerializeToString()
    sealed = ClickBatch.FromString(frame)
    sealed.DiscardUnknownFields()
    regular = Sealer(b"key").seal_regular(sealed.clicks, NOW_MS)
    untouched = regular is not None and sealed.SerializeToString() == frame
    simple = (click.link_id + click.visitor_id).isascii() and len(click.visitor_id) < 128 and not click.kind
    plain = plain_clicks(frame)
    assert (plain is not None and plain.are_timely(NOW_MS)) == (untouched and simple)
