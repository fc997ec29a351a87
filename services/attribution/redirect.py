"""The HTTP redirect: `GET /r/{program}/{link}` records a click and leads the visitor on.

A visitor must not be stranded by a fault behind us, nor the referral be lost: where the click is not known to be on
disk in time, they are led on with its token all the same. The token is signed, so a conversion that carries it is
credited whether the click was stored or not. Such clicks are counted as unrecorded.
"""

import asyncio
import base64
import time
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import Counter
from upline.attribution.v1.click_pb2 import (
    CLICK_KIND_PREFETCH,
    CLICK_KIND_UNSPECIFIED,
    ClickKind,
    RecordClickRequest,
)

from chassis.database import is_transient
from chassis.ids import random_token
from chassis.times import unix_ms
from services.attribution.commands.clicks import keep_click, token_of
from services.attribution.commands.deps import ClickDeps
from services.attribution.connections import MAX_ADDRESS_CONNECTIONS, MAX_CONNECTIONS, Connection, Connections
from services.attribution.domain.codes import is_link_id
from services.attribution.domain.destination import consent_of, with_parameters
from services.attribution.domain.links import LinkKey
from services.attribution.settings import RedirectSettings
from services.attribution.store.links import KnownLink
from services.attribution.wire.clicks import Sealer, sealed_click

RECORD_SECONDS = 1.5
"""The time that a visitor waits for the disk; with a healthy broker it takes a few milliseconds."""
LOOKUP_SECONDS = 5.0
VISITOR_COOKIE = "upline_visitor"
VISITOR_BYTES = 16
VISITOR_SECONDS = 400 * 86_400
"""The age that the visitor's cookie may reach: browsers keep none longer (RFC 6265bis §5.5)."""
MAX_VISITOR_CHARS = 128
MAX_IP_CHARS = 45
MAX_USER_AGENT_CHARS = 1_024
MAX_REFERRER_CHARS = 2_048
SHUTDOWN_SECONDS = 5.0
UNRECORDED_LOG_SECONDS = 1.0
"""The time between two lines of the log on clicks that were not recorded: without a broker every visit is one."""
_NO_LINK = ("healthz", "healthz")
"""The key that is looked up to see whether links can be looked up: no link has so short an id."""

_PREVIEW = "preview"
_PURPOSES = ("prefetch", "prerender", _PREVIEW)
_PURPOSE_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""Headers that tell a prefetch or a preview. The first is the standard's (HTML, "Speculative loading"), the others are
of older browsers and of apps: Safari and Chrome, Safari's and Facebook's previews, Firefox. Parameters may follow, as
in `prefetch;prerender`."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex"}

log = structlog.get_logger(__name__)
_UNRECORDED = Counter(
    "upline_clicks_unrecorded", "Requests for links answered while their click was not known to be on disk."
)
_MALFORMED = Counter(
    "upline_redirect_malformed_requests", "Requests that are none: they were answered in a line, and logged nowhere."
)


class _Answering(RequestHandler):
    """Answers the requests on one connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no request in a line. aiohttp would send up to twice of what came back, and log each as an
        error with its trace: whoever likes could fill the disk with that."""
        if status >= 500 or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        _MALFORMED.inc()
        response = web.Response(status=status, text="This is not a request that is understood here.\n")
        response.force_close()
        return response


class Redirect:
    """The HTTP server of links."""

    def __init__(self, settings: RedirectSettings, deps: ClickDeps, sealer: Sealer) -> None:
        self._settings = settings
        self._deps = deps
        self._sealer = sealer
        self._unrecorded = 0
        """The number of unrecorded clicks since the log last told of them."""
        self._next_log = 0.0
        # Behind a proxy, all visitors come from its address.
        self.connections = Connections(MAX_CONNECTIONS if settings.trusted_proxies else MAX_ADDRESS_CONNECTIONS)
        app = web.Application(client_max_size=1024, middlewares=[self.connections.answering])
        app.router.add_get("/r/{program_id}/{link_id}", self._follow)
        app.router.add_get("/healthz", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begins to answer; returns the port."""
        await self._runner.setup()
        answers, loop = self._runner.server, asyncio.get_running_loop()
        if answers is None:
            raise RuntimeError("the application is not set up")
        no_log: Any = None  # aiohttp takes it, and its types do not say so
        answering = partial(_Answering, answers, loop=loop, access_log=no_log)
        try:
            self._server = await loop.create_server(
                lambda: Connection(self.connections, answering),
                self._settings.host,
                self._settings.redirect_port,
                reuse_port=self._settings.reuse_port or None,
            )
        except OSError as error:
            address = f"{self._settings.host}:{self._settings.redirect_port}"
            raise RuntimeError(
                f"cannot listen on {address}: is the port taken? Set UPLINE_REDIRECT_PORT to another"
            ) from error
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Lets visitors in flight go on, then closes."""
        if self._server:
            self._server.close()
        await self._runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        """Healthy while visitors can be led on, for which links must be found; the broker may be away."""
        try:
            await self._find(_NO_LINK)
        except Exception as error:
            if not is_transient(error):
                raise
            return web.Response(text="not ready", status=503)
        return web.Response(text="ok")

    async def _follow(self, request: web.Request) -> web.Response:
        key = (request.match_info["program_id"], request.match_info["link_id"])
        try:
            known = await self._find(key)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("link not looked up", program=key[0], error=error)
            return _page(503, "Back in a moment", "This link cannot be followed right now. Please try again shortly.")
        if known is None or not known.allowed:
            return _page(404, "No such link", "This link leads nowhere. Please check the address.")
        query = _query(request)
        if request.method == "HEAD":  # monitors look; they do not visit
            return _lead_on(with_parameters(known.link.destination_url, known.link.utm, "", query))
        may_keep = known.visitor_cookie.allows(consent_of(query))
        visitor_id = self._visitor_id(request) if may_keep else ""
        purpose = _purpose(request)
        token, kind = await self._record(request, known, visitor_id, purpose)
        if kind == CLICK_KIND_PREFETCH and purpose != _PREVIEW:
            # A browser forgets what it was refused, and asks again when the link is followed. What it had been given it
            # would use then, and the visit would never be seen here.
            return _page(403, "Not opened yet", "This link is followed when it is opened, not ahead of that.")
        response = _lead_on(with_parameters(known.link.destination_url, known.link.utm, token, query))
        if may_keep and kind == CLICK_KIND_UNSPECIFIED:
            response.set_cookie(
                VISITOR_COOKIE,
                visitor_id,
                max_age=VISITOR_SECONDS,
                path="/",
                httponly=True,
                samesite="Lax",
                secure=self._settings.public_url.startswith("https://"),
            )
        return response

    async def _find(self, key: LinkKey) -> KnownLink | None:
        if (held := self._deps.links.peek(key)) is not None:
            return held
        if key != _NO_LINK and not is_link_id(key[1]):
            return None
        found = (await asyncio.wait_for(self._deps.links.find([key]), LOOKUP_SECONDS))[key]
        return found if isinstance(found, KnownLink) else None

    async def _record(
        self, request: web.Request, known: KnownLink, visitor_id: str, purpose: str
    ) -> tuple[str, ClickKind.ValueType]:
        """The click's token, and the kind that it was taken for. The click is on disk, or counted as unrecorded."""
        visit = RecordClickRequest()
        click = visit.click
        click.program_id = known.link.program_id
        click.link_id = known.link.link_id
        click.visitor_id = visitor_id
        click.ip_address = self._ip_address(request)[:MAX_IP_CHARS]
        click.user_agent = _text(request, "User-Agent", MAX_USER_AGENT_CHARS)
        click.referrer_url = _text(request, "Referer", MAX_REFERRER_CHARS)
        click.kind = CLICK_KIND_PREFETCH if purpose else CLICK_KIND_UNSPECIFIED
        now_ms = unix_ms(self._deps.clock.now())
        self._sealer.seal(click, "click", now_ms)
        if click.kind != CLICK_KIND_UNSPECIFIED:
            click.visitor_id = ""
        sealed = sealed_click(visit)
        try:
            await asyncio.wait_for(keep_click(self._deps, sealed), RECORD_SECONDS)
        except TimeoutError:
            self._count_unrecorded(f"not confirmed within {RECORD_SECONDS} seconds")
        except Exception as error:  # whatever it is, a bug of ours too, the visitor is not to pay for it
            self._count_unrecorded(error)
        return token_of(self._deps, sealed, now_ms), sealed.kind

    def _count_unrecorded(self, error: Exception | str) -> None:
        _UNRECORDED.inc()
        self._unrecorded += 1
        now = time.monotonic()
        if now >= self._next_log:
            log.warning("clicks not recorded, visitors led on with their tokens", clicks=self._unrecorded, error=error)
            self._next_log = now + UNRECORDED_LOG_SECONDS
            self._unrecorded = 0

    def _visitor_id(self, request: web.Request) -> str:
        given = request.cookies.get(VISITOR_COOKIE, "")
        if (
            0 < len(given) <= MAX_VISITOR_CHARS
            and given.isascii()
            and given.replace("-", "").replace("_", "").isalnum()
        ):
            return given
        return base64.urlsafe_b64encode(random_token(VISITOR_BYTES)).decode().rstrip("=")

    def _ip_address(self, request: web.Request) -> str:
        trusted = self._settings.trusted_proxies
        forwarded = [each.strip() for each in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")]
        if trusted and len(forwarded) >= trusted and forwarded[-trusted]:
            return forwarded[-trusted]
        return request.remote or ""


def _purpose(request: web.Request) -> str:
    """The reason why a browser asks, if not to show the page to somebody who followed the link; empty for a visit."""
    for name in _PURPOSE_HEADERS:
        stated = request.headers.get(name, "").strip().lower()
        for word in _PURPOSES:
            if stated.startswith(word):
                return word
    return ""


def _query(request: web.Request) -> str:
    """The visitor's query as it was written: aiohttp reads it, and would write it in another way."""
    return request.raw_path.partition("#")[0].partition("?")[2]


def _lead_on(location: str) -> web.Response:
    # A plain header, for aiohttp's own redirect writes the address in another way than it is stored.
    return web.Response(status=302, headers={**_HEADERS, "Location": location})


def _page(status: int, title: str, text: str) -> web.Response:
    body = _PAGE.format(title=title, text=text)
    return web.Response(status=status, text=body, content_type="text/html", headers=_HEADERS)


def _text(request: web.Request, name: str, max_chars: int) -> str:
    """A header as text that protobuf takes: bytes in it that are not UTF-8 become a question mark."""
    value = request.headers.get(name, "")
    return value.encode("utf-8", "replace").decode()[:max_chars]
