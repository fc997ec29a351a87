"""The pages that a program allows links to lead to, and how the redirect's own parameters are put in.

The rules are narrower than RFC 3986: browsers repair a malformed address, each in its way, so whatever two readers
could understand differently is refused.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

TOKEN_PARAMETER = "upline_click"  # noqa: S105 - a parameter's name
"""The parameter that carries the click token to the destination."""
CONSENT_PARAMETER = "upline_consent"
"""The parameter of a visitor's query that says whether they consent to being known again. It is for the redirect, and
goes no further."""
_CONSENT = "1"
MAX_URL_CHARS = 2_048
MAX_VISITOR_QUERY_CHARS = 2_048
"""The part of a visitor's own query that goes along. With the longest destination, its UTM and a token the request line
stays below 8 kB, which servers take."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]|\s")
_ASCII_URL = "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"
"""The signs that stay as they are in a URL; only characters that are not ASCII get quoted."""
_ASCII_QUERY = "!$%&'()*+,-./:;=?@[]^_`{|}~"
"""The signs that stay as they are in a query that a stranger wrote. Those that browsers quote in a query are missing
here (URL standard, "query percent-encode set"), and the backslash."""


class DestinationError(ValueError):
    """The text is no address that a link may lead to. Its message says why, in words for the caller."""


@dataclass(frozen=True, slots=True)
class Utm:
    """Campaign parameters; an empty one is not added."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    term: str = ""
    content: str = ""

    def parameters(self) -> list[tuple[str, str]]:
        """The names and values of the parameters that are set."""
        parameters = (
            ("utm_source", self.source),
            ("utm_medium", self.medium),
            ("utm_campaign", self.campaign),
            ("utm_term", self.term),
            ("utm_content", self.content),
        )
        return [(name, value) for name, value in parameters if value]


def canonical(url: str, allowed_hosts: Collection[str]) -> str:
    """The URL in plain ASCII, if it leads to one of the hosts. Raises DestinationError otherwise."""
    if _UNSAFE.search(url):
        raise DestinationError("contains white space, control characters or a backslash")
    try:
        parts = urlsplit(url)
        host, port = _ascii_host(parts.hostname), parts.port
    except ValueError as error:  # includes UnicodeError of host names that cannot exist
        raise DestinationError("is not a URL") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise DestinationError("does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise DestinationError("contains user information")
    if not _HOST.fullmatch(host):
        raise DestinationError("has no host name")
    if not is_allowed(parts.scheme, host, port, allowed_hosts):
        raise DestinationError(f"leads to {host!r}, which the program does not allow")
    place = host if port is None else f"{host}:{port}"
    rest = url[url.index("//") + 2 + len(parts.netloc) :]
    found = f"{parts.scheme}://{place}{quote(rest, safe=_ASCII_URL)}"
    if len(found) > MAX_URL_CHARS:
        raise DestinationError(f"is longer than {MAX_URL_CHARS} characters in ASCII")
    return found


def is_allowed(scheme: str, host: str, port: int | None, allowed_hosts: Collection[str]) -> bool:
    """Whether a program allows the host: by name, or by `*.` for everything below a name, but not that name itself.

    An entry without a port means the scheme's own.
    """
    actual_port = _DEFAULT_PORTS[scheme] if port is None else port
    for entry in allowed_hosts:
        name, _, port_text = entry.partition(":")
        if (int(port_text) if port_text else _DEFAULT_PORTS[scheme]) != actual_port:
            continue
        below = name.removeprefix("*")
        if host == name or (below != name and host.endswith(below) and host != below):
            return True
    return False


def leads_to(canonical_url: str, allowed_hosts: Collection[str]) -> bool:
    """Whether a canonical URL leads to one of the hosts: a program may take a host back after links to it were made."""
    parts = urlsplit(canonical_url)
    return is_allowed(parts.scheme, parts.hostname or "", parts.port, allowed_hosts)


def with_parameters(url: str, utm: Utm, click_token: str, visitor_query: str = "") -> str:
    """A canonical URL with the visitor's own query, UTM and click token added; an empty token is not.

    Of one name, the URL's own query wins, for it says which page is meant; then the visitor's, who may have come by an
    address that somebody tagged for a place of its own; then the link's UTM. The URL's query stays as it is, byte for
    byte, and so does what the visitor brought as far as a header may hold it. Only a click token that someone left in
    either goes, for it would credit another click.
    """
    before, hash_sign, fragment = url.partition("#")
    page, _, query = before.partition("?")
    own = [pair for pair in query.split("&") if _name(pair) != TOKEN_PARAMETER] if query else []
    names = {_name(pair) for pair in own}
    brought = _brought(visitor_query, names | {TOKEN_PARAMETER, CONSENT_PARAMETER})
    names.update(map(_name, brought))
    added = [(name, value) for name, value in utm.parameters() if name not in names]
    if click_token:
        added.append((TOKEN_PARAMETER, click_token))
    pairs = own + brought + [f"{name}={quote_plus(value)}" for name, value in added]
    return f"{page}?{'&'.join(pairs)}{hash_sign}{fragment}" if pairs else f"{page}{hash_sign}{fragment}"


def consent_of(visitor_query: str) -> bool | None:
    """Whether a visitor's query states consent; None if it states nothing. Whatever is not plainly a consent is a
    refusal."""
    pairs = [pair for pair in visitor_query.split("&") if _name(pair) == CONSENT_PARAMETER]
    if not pairs:
        return None
    return all(pair.partition("=")[2] == _CONSENT for pair in pairs)


def _brought(query: str, other_names: Collection[str]) -> list[str]:
    """The visitor's parameters, without those whose names stand in the address already. A parameter that does not fit
    is left out whole."""
    found = []
    free_chars = MAX_VISITOR_QUERY_CHARS
    for pair in query.split("&"):
        safe = quote(pair, safe=_ASCII_QUERY, errors="surrogateescape")
        if not safe or len(safe) >= free_chars or _name(safe) in other_names:
            continue
        found.append(safe)
        free_chars -= len(safe) + 1  # for what joins it to the one before
    return found


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _ascii_host(host: str | None) -> str:
    """A host name in lower case ASCII; names of other scripts in their IDNA form. Raises UnicodeError."""
    if not host:
        return ""
    return host if host.isascii() else host.encode("idna").decode()
