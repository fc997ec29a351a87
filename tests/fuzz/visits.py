"""HTTP requests, as bytes: to the redirect, and to the ports that tell health and metrics."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.fuzz import values
from tests.fuzz.pool import Pool

ANSWER_SECONDS = 20.0
MAX_PAGE_BYTES = 64 * 1024
"""The redirect's pages are a line or two long."""
MAX_METRICS_BYTES = 4 * 1024 * 1024
METRICS = "metrics of "
REDIRECT = "redirect"
TRIES = 8
"""How many programs are looked at for a link."""
WITHOUT_ANSWER = frozenset({"half", "bytes"})
"""Requests after which a server may end the connection and say nothing."""
NOT_HTTP = 0.06
HALF = 0.04
"""How often what is sent is no request, and how often whoever sends it goes away in the middle."""
OWN_METHODS = frozenset({501, 505})
"""Statuses by which Python's own server, which tells metrics, refuses methods and versions that it does not know."""
HEADERS = frozenset(
    {
        "allow", "cache-control", "connection", "content-encoding", "content-length", "content-type", "date",
        "location", "server", "set-cookie", "transfer-encoding", "x-content-type-options", "x-robots-tag",
    }
)  # fmt: skip
"""The headers of answers. Another one would have been smuggled in by a request."""
FOLLOWED = frozenset({302, 403})
"""Statuses of visits that are recorded, with those that came ahead of a visit."""
EXPECTED = ("redirect 302", "redirect 200", "redirect 404", "redirect 405", "metrics 200", "metrics 405")
"""Servers and statuses that have to come up in any run."""

_METHODS = (
    "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW", "G ET", "GET\0",
    "X" * 9_000,
)  # fmt: skip
_VERSIONS = ("HTTP/1.0", "HTTP/1.1", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1 ", "http/1.1", "HTTP/x", "")
_PATHS = (
    "", "/", "*", "/r", "/r/", "/r//", "/healthz", "/healthz/", "/metrics", "/r/a", "/r/a/b/c", "//r/a/b",
    "/../etc/passwd", "/r/../healthz", "/r/%2e%2e/%2e%2e", "/r/%00/%00", "/r/%/%", "/r/%ff%fe/%c0%80", "/r/й/й",
    "/r/\udcff/\udc80", "/r/a b/c", "/r/a;b/c", "http://elsewhere.example/r/a/b", "http://[::1", "https://",
    "elsewhere:443", "/r/" + "a" * 7_000 + "/b", "/" + "a" * 70_000, "/r/" + "a/" * 3_000, "/favicon.ico",
    "/r/a\tb/c", "/r/{program_id}/{link_id}", "\\r\\a\\b",
)  # fmt: skip
_QUERIES = (
    "", "?", "?a=b", "?a=b&a=c&a", "?%", "?%ff%00", "?=&=&", "?q=й", "?q=\udcff", "?a=b#c", "#x", "??",
    "?utm_source=own", "?upline_consent=1", "?consent=yes", "?" + "&".join(f"k{number}=v" for number in range(500)),
    "?" + "x" * 7_000, "?" + "x" * 20_000, "?name[]=up", "?name[]=up&name[]=\0", "?a=%0d%0aSet-Cookie:%20x=y",
    "?click=forged&upline_click=x",
)  # fmt: skip
_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "User-Agent: Googlebot/2.1", "User-Agent: " + "x" * 7_000,
    "User-Agent: \udcff\udcfe", "User-Agent:", "User-Agent: a\r\nUser-Agent: b",
    "Referer: https://x.example/" + "y" * 3_000, "Referer: \udc80", "Cookie: upline_visitor=someone",
    "Cookie: upline_visitor=" + "v" * 300, "Cookie: ;;;=;=", "Cookie: a=b; a", 'Cookie: upline_visitor="a\\"b"',
    "Cookie: upline_visitor=%0d%0a", "Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "X-Purpose: preview",
    "X-Moz: prefetch", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: ,,, , nobody, " + "1" * 300,
    "X-Forwarded-Proto: javascript", "Accept: */*", "Accept: application/openmetrics-text; version=1.0.0",
    "Accept: application/openmetrics-text; version=one", "Accept: text/plain; version=", "Accept: ;;,,;q=x",
    "Accept: \udcff", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0, \udcff", "Accept-Language: й",
    "Content-Length: 5", "Content-Length: -1", "Content-Length: x", "Content-Length: 99999999999999999999",
    "Content-Length: 0\r\nContent-Length: 5", "Content-Length: +5", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: nothing", "Expect: 100-continue", "Expect: wonders",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x", "Upgrade: h2c", "Host:",
    "Host: a\r\nHost: b", "Host: \udcff", "Connection: keep-alive", "Range: bytes=0-1", "If-None-Match: *",
    "no colon in it", " folded: on", ": without a name", "X Y: z", "X-Nul: a\0b", "X-Long: " + "z" * 9_000,
    "X-Bell: \x07", "Authorization: Basic x", "\r\n".join(f"X-{number}: y" for number in range(150)),
)  # fmt: skip
_BODIES = ("", "hello", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nx", "-1\r\n", "x" * 5_000, "y" * 2_000_000)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request as it is sent."""

    server: str
    how: str
    """`request`, `half` or `bytes`."""
    content: bytes

    @property
    def is_followed(self) -> bool:
        """Whether it may be a visit of a link, which is recorded."""
        return self.content.startswith(b"GET ")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    """0 where none came."""
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Visitors:
    """Makes HTTP requests of what is known so far."""

    def __init__(self, rng: random.Random, pool: Pool, servers: Mapping[str, tuple[str, int]]) -> None:
        self._rng = rng
        self._pool = pool
        self.servers = servers
        """Where each server is, by its name."""

    def make(self) -> Visit:
        """A request: one that leads somewhere, more often than each other kind."""
        rng = self._rng
        server = REDIRECT if rng.random() < 0.7 else rng.choice(list(self.servers))
        if rng.random() < NOT_HTTP:
            some = (b"", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 100)
            return Visit(server, "bytes", rng.choice((*some, rng.randbytes(300), b"GET " + b"/" * 200_000)))
        method = "GET" if rng.random() < 0.7 else rng.choice(_METHODS)
        version = "HTTP/1.1" if rng.random() < 0.9 else rng.choice(_VERSIONS)
        lines = [f"{method} {self._target(server)} {version}"]
        if rng.random() < 0.95:
            lines.append("Host: links.example")
        lines += rng.sample(_HEADERS, rng.choice((0, 0, 0, 0, 1, 1, 2, 4, 12)))
        lines.append("Connection: close")
        body = rng.choice(_BODIES) if method != "GET" or rng.random() < 0.1 else ""
        if body and rng.random() < 0.5:
            lines.append(f"Content-Length: {len(body)}")
        content = ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape")
        if rng.random() < HALF:
            return Visit(server, "half", content[: rng.randrange(len(content))])
        return Visit(server, "request", content)

    def _target(self, server: str) -> str:
        rng = self._rng
        query = rng.choice(_QUERIES) if rng.random() < 0.5 else ""
        if server != REDIRECT:
            return (rng.choice(_PATHS) if rng.random() < 0.5 else "/metrics") + query
        draw = rng.random()
        if draw < 0.6:
            for _ in range(TRIES):
                program_id = rng.choice(self._pool.programs)
                if link_id := self._pool.pick(program_id, "link_id"):
                    return f"/r/{program_id}/{link_id}{query}"
        if draw < 0.65:
            return f"/healthz{query}"
        if draw < 0.8:
            hostile = values.hostile_text(rng, 64).encode("utf-8", "surrogateescape").decode("latin-1")
            return f"/r/{rng.choice(self._pool.programs)}/{hostile[:7_000]}{query}"
        return rng.choice(_PATHS) + query


async def send(address: tuple[str, int], visit: Visit) -> Page:
    """Sends a request; whoever sends half of one goes away at once."""
    reader, writer = await asyncio.open_connection(*address, limit=MAX_METRICS_BYTES)
    try:
        writer.write(visit.content)
        answer = b""
        if visit.how == "half":
            await writer.drain()
        else:
            # A server that does not want the rest of a request ends the connection under whoever still writes.
            with suppress(ConnectionError):
                await writer.drain()
            if visit.how == "bytes":
                writer.write_eof()
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    while not _is_whole(answer) and (part := await reader.read(65_536)):
                        answer += part
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return read_page(answer)


def read_page(answer: bytes) -> Page:
    """The page in an answer; after an interim one, the page behind it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    word, _, rest = status.partition(" ")
    if not word.startswith("HTTP/") or not rest[:3].isdigit():
        return Page(0, (), answer)
    if rest.startswith("100"):
        return read_page(body)
    pairs = tuple((name.strip().lower(), text.strip()) for name, _, text in (line.partition(":") for line in lines))
    return Page(int(rest[:3]), pairs, body)


def _is_whole(answer: bytes) -> bool:
    """Whether an answer is as long as it says: then its connection may stay open."""
    page = read_page(answer)
    length = dict(page.headers).get("content-length", "")
    return len(answer) > MAX_METRICS_BYTES or (length.isdigit() and len(page.body) >= int(length))


def wrong_page(visit: Visit, page: Page) -> str:
    """Tells what is wrong with an answer; empty if it is as it should be."""
    status, is_metrics = page.status, visit.server.startswith(METRICS)
    if not status:
        words = visit.content.partition(b"\r\n")[0].split()
        is_refused = visit.how in WITHOUT_ANSWER or len(words) != 3 or not words[2].startswith(b"HTTP/1.")
        return "" if is_refused or len(visit.content) > 100_000 else f"no answer, but {page.body[:200]!r}"
    allowed = status in {200, 302} or 400 <= status < 500 or (is_metrics and status in OWN_METHODS)
    if not allowed:
        return f"status {status}"
    if foreign := {name for name, _ in page.headers} - HEADERS:
        return f"headers {sorted(foreign)}"
    if b"Traceback" in page.body:
        return "a trace of a defect"
    if len(page.body) > (MAX_METRICS_BYTES if is_metrics else MAX_PAGE_BYTES):
        return f"{len(page.body):,} bytes"
    location = dict(page.headers).get("location", "")
    if (status == 302) != location.startswith("https://"):
        return f"status {status} leads to {location[:200]!r}"
    return ""
