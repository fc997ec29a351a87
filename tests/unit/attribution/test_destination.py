"""The pages that links may lead to, and the parameters that the redirect adds."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attribution.domain.destination import (
    MAX_VISITOR_QUERY_CHARS,
    DestinationError,
    Utm,
    canonical,
    consent_of,
    leads_to,
    with_parameters,
)

HOSTS = ("shop.example", "*.shop.example", "dev.example:3000", "xn--e1afmkfd.xn--p1ai")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example/A?b=%20c#D", "https://shop.example/A?b=%20c#D"),
        ("http://shop.example:80/", "http://shop.example:80/"),
        ("https://a.b.shop.example/", "https://a.b.shop.example/"),
        ("http://dev.example:3000/x", "http://dev.example:3000/x"),
        ("https://пример.рф/путь?и=1", "https://xn--e1afmkfd.xn--p1ai/%D0%BF%D1%83%D1%82%D1%8C?%D0%B8=1"),
        ("https://shop.example/?next=https://evil.example", "https://shop.example/?next=https://evil.example"),
    ],
)
def test_what_is_allowed(url: str, expected: str) -> None:
    assert canonical(url, HOSTS) == expected
    assert leads_to(expected, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://.shop.example/",
        "https://shop.example@evil.example/",
        "https://shop.example:pass@shop.example/",
        "https://evil.example#@shop.example",
        "https://evil.example?@shop.example",
        "https://evil.example\\@shop.example",
        "https://shop.example\\.evil.example",
        "https://shop.example\t.evil.example",
        "https://shop.example\n",
        " https://shop.example",
        "https:///shop.example",
        "https:shop.example",
        "//shop.example",
        "/shop.example",
        "javascript:alert(1)//shop.example",
        "data:text/html,shop.example",
        "ftp://shop.example/",
        "https://shop.example:81/",
        "http://shop.example:443/",
        "https://dev.example/",
        "https://shop.example.",
        "https://shop%2eexample/",
        "https://[::1]/",
        "https://shop.example:99999/",
        "https://" + "ш" * 3000 + ".shop.example",
        "https://shop.example/" + "ш" * 500,
        "",
    ],
)
def test_what_is_refused(url: str) -> None:
    with pytest.raises(DestinationError):
        canonical(url, HOSTS)


def test_a_wildcard_is_for_what_is_below_it() -> None:
    with pytest.raises(DestinationError):
        canonical("https://shop.example/", ["*.shop.example"])


@given(st.text("abc.:/?#@\\%[]-*ш \t01", max_size=40).map(lambda tail: f"https://{tail}"))
def test_nothing_leads_elsewhere(url: str) -> None:
    try:
        found = canonical(url, ["abc.a", "*.c.b"])
    except DestinationError:
        return
    parts = urlsplit(found)
    assert parts.hostname is not None
    assert parts.hostname == "abc.a" or parts.hostname.endswith(".c.b")
    assert "@" not in parts.netloc
    assert found.isascii()
    assert canonical(found, ["abc.a", "*.c.b"]) == found


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4),
    st.text(max_size=10),
    st.text(max_size=10),
)
def test_parameters_are_added_and_the_rest_is_kept(query: list[tuple[str, str]], campaign: str, fragment: str) -> None:
    url = f"https://shop.example/p?{urlencode(query)}#{quote(fragment)}"
    found = with_parameters(url, Utm(source="s&=#", campaign=campaign), "TOKEN")
    parts = urlsplit(found)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    assert pairs[: len(query)] == query
    assert pairs[len(query) :] == [
        ("utm_source", "s&=#"),
        *([("utm_campaign", campaign)] if campaign else []),
        ("upline_click", "TOKEN"),
    ]
    assert parts.fragment == quote(fragment)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a/p?x=1&&y=%20", "https://a/p?x=1&&y=%20&utm_source=vk&upline_click=T"),
        ("https://a/p?utm_source=own", "https://a/p?utm_source=own&upline_click=T"),
        ("https://a?upline_click=old&b", "https://a?b&utm_source=vk&upline_click=T"),
        ("https://a?upline%5Fclick=old#f?g", "https://a?utm_source=vk&upline_click=T#f?g"),
    ],
)
def test_a_query_of_its_own_wins(url: str, expected: str) -> None:
    assert with_parameters(url, Utm(source="vk"), "T") == expected


def test_without_token_and_utm_nothing_changes() -> None:
    assert with_parameters("https://a/p#x", Utm(), "") == "https://a/p#x"


NAMES = st.sampled_from(["gclid", "utm_source", "utm_term", "size", "upline_click", "ключ", "a b", "ü&=#%"])
QUERY = st.lists(st.tuples(NAMES, st.text(max_size=5)), max_size=6)


@given(QUERY, QUERY)
def test_of_one_name_the_page_wins_then_the_visitor_then_the_link(
    own: list[tuple[str, str]], brought: list[tuple[str, str]]
) -> None:
    utm = Utm(source="vk", medium="post", term="t")
    found = with_parameters(f"https://a/p?{urlencode(own)}#f", utm, "T", urlencode(brought))
    own = [pair for pair in own if pair[0] != "upline_click"]
    names = {name for name, _ in own}
    theirs = [pair for pair in brought if pair[0] not in names | {"upline_click"}]
    names |= {name for name, _ in theirs}
    added = [pair for pair in utm.parameters() if pair[0] not in names]
    parts = urlsplit(found)
    assert parse_qsl(parts.query, keep_blank_values=True) == [*own, *theirs, *added, ("upline_click", "T")]
    assert (parts.netloc, parts.path, parts.fragment) == ("a", "/p", "f")


@given(st.text(max_size=200), st.sampled_from(["https://a/p", "https://a/p?x=1&&y", "https://a?upline_click=z#f?g"]))
def test_whatever_a_visitor_brings_stays_a_query(brought: str, url: str) -> None:
    plain, found = with_parameters(url, Utm(), "T"), with_parameters(url, Utm(), "T", brought)
    assert found.isascii()
    assert all("!" <= each <= "~" and each not in '"<>\\' for each in found)
    before, after = plain.split("upline_click=T")
    assert found.startswith(before.rstrip("?&"))
    assert found.endswith(f"upline_click=T{after}")
    assert found.count("#") == plain.count("#")
    assert [name for name, _ in parse_qsl(urlsplit(found).query)].count("upline_click") == 1
    assert len(found) <= len(plain) + 1 + MAX_VISITOR_QUERY_CHARS


@given(st.text("abcXYZ019-._~!$'()*+,;:@/?[]^`{|}%", min_size=1, max_size=30))
def test_what_a_header_may_hold_goes_along_as_it_was_written(brought: str) -> None:
    assert with_parameters("https://a/", Utm(), "", brought) == f"https://a/?{brought}"


@pytest.mark.parametrize(
    ("brought", "kept"),
    [
        ("x=%D1%88&y=+%20", "x=%D1%88&y=+%20"),
        ("a=1\r\nSet-Cookie: x", "a=1%0D%0ASet-Cookie:%20x"),
        ("a=\udcff\u0448", "a=%FF%D1%88"),
        ("upline%5Fclick=forged&upline_click=forged&a", "a"),
        ("&&a&&", "a"),
        ("upline_consent=1&a&upline%5Fconsent=0", "a"),
        ("", ""),
    ],
)
def test_what_becomes_of_a_visitors_query(brought: str, kept: str) -> None:
    assert with_parameters("https://a/#f", Utm(), "", brought) == (f"https://a/?{kept}#f" if kept else "https://a/#f")


def test_what_does_not_fit_is_left_out_whole() -> None:
    long = "x" * MAX_VISITOR_QUERY_CHARS
    fits = "y=" + "y" * (MAX_VISITOR_QUERY_CHARS - 10)
    assert with_parameters("https://a/", Utm(), "", f"{long}&{fits}&z=12345678&w=1") == f"https://a/?{fits}&w=1"


@pytest.mark.parametrize(
    ("brought", "consent"),
    [
        ("", None),
        ("a=1&consent=1", None),
        ("upline_consent=1", True),
        ("a&upline%5Fconsent=1&b", True),
        ("upline_consent=1&upline_consent=1", True),
        ("upline_consent=1&upline_consent=0", False),
        ("upline_consent", False),
        ("upline_consent=", False),
        ("upline_consent=yes", False),
        ("upline_consent=%31", False),
    ],
)
def test_only_a_plain_consent_is_one(brought: str, consent: bool | None) -> None:
    assert consent_of(brought) is consent
