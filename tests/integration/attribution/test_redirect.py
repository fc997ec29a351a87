"""The HTTP redirect."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import aiohttp
import pytest
from nats.errors import TimeoutError as BrokerTimeout
from pydantic import SecretStr
from upline.attribution.v1 import program_pb2, program_pb2_grpc
from yarl import URL

from chassis.clock import ManualClock
from chassis.database import Database
from chassis.embedded.state import free_port
from chassis.secrets import derive_key
from chassis.settings import ServiceSettings
from services.attribution import redirect
from services.attribution.commands.deps import ClickDeps
from services.attribution.domain.click_token import read
from services.attribution.intake import Intake
from services.attribution.settings import RedirectSettings
from services.attribution.store import link_cache
from services.attribution.store.link_cache import LinkCache
from services.attribution.wire.clicks import Sealer
from tests.conftest import SECRET, Servers
from tests.flow import becomes
from tests.integration.attribution.clicking import HOST, Shop, open_shop, rows, stored, until
from tests.running import DEADLINE_SECONDS, Running

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
TELEGRAM = "TelegramBot (like TwitterBot)"
pytestmark = pytest.mark.usefixtures("redirecting")
VISIT, PREFETCH, MACHINE = 0, 1, 2
KEY = derive_key(SecretStr(SECRET), "click-token")


@pytest.fixture
async def shop(attribution: Running, new_program_id: Callable[[str], str]) -> Shop:
    return await open_shop(attribution, new_program_id("redirect"))


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": FIREFOX}) as session:
        yield session


async def follow(browser: aiohttp.ClientSession, url: str | URL, **options: Any) -> aiohttp.ClientResponse:
    async with browser.get(url, allow_redirects=False, **options) as response:
        await response.read()
        return response


def token_of(location: str) -> str:
    return dict(parse_qsl(urlsplit(location).query)).get("upline_click", "")


async def test_a_visitor_is_led_on_and_recorded(servers: Servers, shop: Shop, browser: aiohttp.ClientSession) -> None:
    headers = {"Referer": "https://news.example/x?y"}
    response = await follow(browser, shop.link.url, headers=headers)
    assert response.status == 302
    location = response.headers["Location"]
    parts = urlsplit(location)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("https", HOST, "/spring", "shoes")
    token_text = token_of(location)
    assert parts.query == f"size=m&utm_source=upline&utm_medium=referral&upline_click={token_text}"
    token = read(KEY, token_text)
    assert (token.program_id, token.link_id) == (shop.program_id, shop.link.link_id)
    assert "Set-Cookie" not in response.headers
    await until(lambda: bool(stored(servers, shop.program_id)))
    ((click_id, _, visitor_id, _, ip_hash, _, referrer_host),) = stored(servers, shop.program_id)
    assert (click_id, visitor_id, referrer_host) == (token.click_id, "", "news.example")
    assert len(ip_hash) == 16


async def test_a_visitor_keeps_their_name(
    servers: Servers, attribution: Running, new_program_id: Callable[[str], str], browser: aiohttp.ClientSession
) -> None:
    shop = await open_shop(
        attribution, new_program_id("redirect"), visitor_cookie=program_pb2.VISITOR_COOKIE_CONSENT_ASKED
    )
    first = await follow(browser, shop.link.url)
    cookie = SimpleCookie(first.headers["Set-Cookie"])[redirect.VISITOR_COOKIE]
    assert (bool(cookie["httponly"]), cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    name = cookie.value
    second = await follow(browser, shop.link.url, headers={"Cookie": f"{redirect.VISITOR_COOKIE}={name}"})
    assert SimpleCookie(second.headers["Set-Cookie"])[redirect.VISITOR_COOKIE].value == name
    odd = await follow(browser, shop.link.url, headers={"Cookie": f"{redirect.VISITOR_COOKIE}={'x' * 200}"})
    assert SimpleCookie(odd.headers["Set-Cookie"])[redirect.VISITOR_COOKIE].value not in {name, "x" * 200}
    await until(lambda: len(stored(servers, shop.program_id)) == 3)
    assert [row[2] for row in stored(servers, shop.program_id)].count(name) == 2


@pytest.mark.parametrize(
    ("setting", "query", "kept"),
    [
        (0, "", False),
        (0, "upline_consent=1", True),
        (0, "a=1&upline%5Fconsent=1&b", True),
        (0, "upline_consent=0", False),
        (0, "upline_consent", False),
        (0, "upline_consent=1&upline_consent=0", False),
        (0, "upline_consent=true", False),
        (1, "", False),
        (1, "upline_consent=1", False),
        (2, "", False),
        (2, "upline_consent=1", True),
        (3, "", True),
        (3, "upline_consent=0", False),
    ],
)
async def test_nothing_is_kept_of_a_visitor_without_consent(
    servers: Servers,
    attribution: Running,
    new_program_id: Callable[[str], str],
    browser: aiohttp.ClientSession,
    setting: int,
    query: str,
    kept: bool,
) -> None:
    shop = await open_shop(attribution, new_program_id("redirect"), visitor_cookie=setting)
    url = URL(f"{shop.link.url}?{query}", encoded=True)
    response = await follow(browser, url, headers={"Cookie": f"{redirect.VISITOR_COOKIE}=vera"})
    assert ("Set-Cookie" in response.headers) == kept
    assert "consent" not in response.headers["Location"]
    assert token_of(response.headers["Location"])
    await until(lambda: bool(stored(servers, shop.program_id)))
    assert [row[2] for row in stored(servers, shop.program_id)] == ["vera" if kept else ""]


async def test_unknown_links_lead_nowhere(shop: Shop, browser: aiohttp.ClientSession, redirecting: Running) -> None:
    base = f"http://127.0.0.1:{redirecting.service.redirect_port}"
    for path in (
        f"/r/{shop.program_id}/{'0' * 18}",
        f"/r/{shop.program_id}/https:%2F%2Fevil.example",
        f"/r/nowhere/{shop.link.link_id}",
        f"/r/{shop.program_id}/a%00b",
        f"/r/{shop.program_id}/%ff",
        "/r//",
        "/",
    ):
        response = await follow(browser, base + path)
        assert response.status == 404, path
        assert "Location" not in response.headers


async def test_parameters_of_the_visit_do_not_change_where_it_leads(shop: Shop, browser: aiohttp.ClientSession) -> None:
    response = await follow(browser, f"{shop.link.url}?destination_url=https://evil.example&upline_click=forged")
    location = urlsplit(response.headers["Location"])
    assert (location.scheme, location.netloc, location.path) == ("https", HOST, "/spring")
    assert location.query.count("upline_click=") == 1
    assert read(KEY, token_of(response.headers["Location"])).link_id == shop.link.link_id


async def test_a_look_without_a_visit_is_no_click(servers: Servers, shop: Shop, browser: aiohttp.ClientSession) -> None:
    async with browser.head(shop.link.url, allow_redirects=False) as response:
        assert (response.status, token_of(response.headers["Location"])) == (302, "")
    seen = await follow(browser, shop.link.url)
    await until(lambda: bool(stored(servers, shop.program_id)))
    assert [row[0] for row in stored(servers, shop.program_id)] == [
        read(KEY, token_of(seen.headers["Location"])).click_id
    ]


async def test_the_visitors_own_query_goes_along(shop: Shop, browser: aiohttp.ClientSession) -> None:
    own = "gclid=Cj0K~_x%2b&utm_source=news&utm_id=7&size=xl&s%75b=%D1%88&flag"
    response = await follow(browser, URL(f"{shop.link.url}?{own}", encoded=True))
    location = response.headers["Location"]
    kept = "gclid=Cj0K~_x%2b&utm_source=news&utm_id=7&s%75b=%D1%88&flag"
    assert location == (
        f"https://{HOST}/spring?size=m&{kept}&utm_medium=referral&upline_click={token_of(location)}#shoes"
    )
    async with browser.head(URL(f"{shop.link.url}?{own}", encoded=True), allow_redirects=False) as looked:
        assert looked.headers["Location"] == f"https://{HOST}/spring?size=m&{kept}&utm_medium=referral#shoes"


@pytest.mark.parametrize(
    "target",
    [
        "/r/{}?a=b%0d%0aSet-Cookie:x=1&\x80=1",
        "http://evil.example/r/{}?a=%0D%0A%0d%0a<script>",
        "/r/{}?a=1#%0d%0aX-Evil:1",
        '/r/{}?"><script>\\\\evil.example&b=1',
        "/r/{}?a[]=1&%=%zz",
    ],
)
async def test_no_query_breaks_out_of_the_header(redirecting: Running, shop: Shop, target: str) -> None:
    """The request is written as bytes on the wire, for no client would send it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redirecting.service.redirect_port)
    line = target.format(f"{shop.program_id}/{shop.link.link_id}").encode("latin-1")
    writer.write(b"GET " + line + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: Firefox\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), DEADLINE_SECONDS)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(each.split(b": ", 1) for each in head.split(b"\r\n")[1:])
    if "\x80" in target:  # no server has to understand that
        assert head.startswith(b"HTTP/1.0 400")
        return
    assert head.startswith(b"HTTP/1.1 302")
    assert headers[b"Location"].startswith(f"https://{HOST}/spring?size=m&".encode())
    assert headers[b"Location"].isascii()
    assert set(headers) <= {
        *(b"Cache-Control", b"X-Content-Type-Options", b"X-Robots-Tag", b"Location", b"Set-Cookie"),
        *(b"Content-Length", b"Content-Type", b"Date", b"Server", b"Connection"),
    }
    assert body == b""


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"User-Agent": TELEGRAM}, 302, MACHINE),
        ({"User-Agent": TELEGRAM, "X-Purpose": "preview"}, 302, MACHINE),
        ({"User-Agent": "WhatsApp/2.23.20.0 A", "Purpose": "prefetch"}, 302, MACHINE),
        ({"X-Purpose": "preview"}, 302, PREFETCH),
        ({"Sec-Purpose": "prefetch"}, 403, PREFETCH),
        ({"Sec-Purpose": "prefetch;prerender"}, 403, PREFETCH),
        ({"Purpose": "Prefetch"}, 403, PREFETCH),
        ({"X-Moz": "prefetch"}, 403, PREFETCH),
        ({"X-Purpose": "prefetch"}, 403, PREFETCH),
        ({"Purpose": "shopping"}, 302, VISIT),
    ],
)
async def test_only_visits_have_a_token_and_a_name(
    servers: Servers, shop: Shop, browser: aiohttp.ClientSession, headers: dict[str, str], status: int, kind: int
) -> None:
    named = {**headers, "Cookie": f"{redirect.VISITOR_COOKIE}=vera"}
    response = await follow(browser, f"{shop.link.url}?upline_consent=1", headers=named)
    location = response.headers.get("Location", "")
    assert response.status == status
    assert bool(location) == (status == 302)
    assert bool(token_of(location)) == ("Set-Cookie" in response.headers) == (kind == VISIT)
    assert "no-store" in response.headers["Cache-Control"]
    await until(lambda: bool(stored(servers, shop.program_id)))
    assert rows(servers, "SELECT kind, visitor_id FROM click WHERE program_id = %s", shop.program_id) == [
        (kind, "vera" if kind == VISIT else "")
    ]


async def test_health(browser: aiohttp.ClientSession, redirecting: Running) -> None:
    response = await follow(browser, f"http://127.0.0.1:{redirecting.service.redirect_port}/healthz")
    assert (response.status, await response.text()) == (200, "ok")


class OtherRedirect:
    """A redirect of its own, with an intake that behaves as told."""

    def __init__(
        self, attribution: Running, publish: Callable[[bytes], Any], database: Database | None = None, **settings: Any
    ) -> None:
        common = {name: value for name, value in attribution.service.settings if name in ServiceSettings.model_fields}
        options = RedirectSettings(**common, redirect_port=0, public_url="https://go.shop.example", **settings)
        clock: ManualClock = attribution.service.clock
        links = LinkCache(database or attribution.service.database)
        deps = ClickDeps(clock, links, Intake(publish), KEY)
        self.server = redirect.Redirect(options, deps, Sealer(KEY))

    async def __aenter__(self) -> str:
        return f"http://127.0.0.1:{await self.server.start()}"

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()


@pytest.mark.parametrize("fault", [None, BrokerTimeout(), KeyError("a bug")])
async def test_without_the_stream_a_visitor_is_led_on_with_a_token(
    attribution: Running,
    shop: Shop,
    browser: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception | None,
) -> None:
    monkeypatch.setattr(redirect, "RECORD_SECONDS", 0.1)

    async def publish(_payload: bytes) -> None:
        if fault is not None:
            raise fault
        await asyncio.sleep(1)  # hangs

    async with OtherRedirect(attribution, publish) as base:
        response = await follow(browser, f"{base}/r/{shop.program_id}/{shop.link.link_id}?upline_consent=1")
        assert response.status == 302
        token_text = token_of(response.headers["Location"])
        assert response.headers["Location"] == (
            f"https://{HOST}/spring?size=m&utm_source=upline&utm_medium=referral&upline_click={token_text}#shoes"
        )
        assert read(KEY, token_text).link_id == shop.link.link_id
        assert "secure" in response.headers["Set-Cookie"].lower()
        assert (await follow(browser, f"{base}/healthz")).status == 200


async def test_without_the_database_the_redirect_is_not_healthy(
    attribution: Running, browser: aiohttp.ClientSession
) -> None:
    async def publish(_payload: bytes) -> None:
        raise AssertionError("nothing is recorded")

    nowhere = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing", "attribution")
    async with OtherRedirect(attribution, publish, nowhere) as base:
        assert (await follow(browser, f"{base}/healthz")).status == 503


async def test_a_host_that_the_program_took_back_is_not_led_to(
    servers: Servers, attribution: Running, shop: Shop, browser: aiohttp.ClientSession
) -> None:
    rows(servers, "UPDATE program SET allowed_hosts = '{other.example}' WHERE program_id = %s", shop.program_id)

    async def publish(_payload: bytes) -> None:
        raise AssertionError("nothing is recorded")

    async with OtherRedirect(attribution, publish) as base:
        response = await follow(browser, f"{base}/r/{shop.program_id}/{shop.link.link_id}")
    assert response.status == 404


async def test_what_is_made_or_changed_elsewhere_is_seen_in_time(
    attribution: Running, browser: aiohttp.ClientSession, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The redirect shares no memory with the process that makes links and programs: what it holds ages."""
    monkeypatch.setattr(link_cache, "KNOWN_SECONDS", 0.2)
    stub = program_pb2_grpc.ProgramServiceStub(attribution.channel)
    made = await stub.GetProgram(program_pb2.GetProgramRequest(program_id=shop.program_id), timeout=DEADLINE_SECONDS)

    async def publish(_payload: bytes) -> None:
        """A broker that takes every click."""

    async with OtherRedirect(attribution, publish) as base:

        async def status() -> int:
            return (await follow(browser, f"{base}/r/{shop.program_id}/{shop.link.link_id}")).status

        assert await status() == 302
        made.program.allowed_hosts[:] = ["elsewhere.example"]
        await stub.UpdateProgram(
            program_pb2.UpdateProgramRequest(request_id=str(uuid4()), program=made.program), timeout=DEADLINE_SECONDS
        )
        await becomes(status, 404)


async def test_an_address_is_believed_from_as_many_proxies_as_are_set(
    attribution: Running, shop: Shop, browser: aiohttp.ClientSession
) -> None:
    from upline.attribution.v1.click_pb2 import Click, ClickBatch

    seen: list[Click] = []

    async def publish(payload: bytes) -> None:
        seen.extend(ClickBatch.FromString(payload).clicks)

    hashes = []
    for trusted, forwarded in (
        (0, "198.51.100.9"),
        (0, ""),
        (1, "198.51.100.9, 203.0.113.7"),
        (2, "203.0.113.7, 10.0.0.1"),
    ):
        async with OtherRedirect(attribution, publish, trusted_proxies=trusted) as base:
            headers = {"X-Forwarded-For": forwarded} if forwarded else {}
            await follow(browser, f"{base}/r/{shop.program_id}/{shop.link.link_id}", headers=headers)
        hashes.append(seen[-1].ip_hash)
    direct, also_direct, through_one, through_two = hashes
    assert direct == also_direct != through_one == through_two
