"""Which addresses may be called: those of the internet, and none behind the installation's own walls."""

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpx
from httpx_secure import httpx_ssrf_protection

Address = IPv4Address | IPv6Address

DNS_SECONDS = 60.0
"""How long the library calls the address again that it found for a name. Only new connections ask; one that is open
stays at the address that was allowed."""
DNS_NAMES = 1_000
"""The names whose addresses the library keeps."""
MAX_LOOK_UPS = 32
"""The names that are looked up at once, in threads of their own: a server of names that does not answer keeps nothing
else of the process waiting, and of other names as many as a process has calls to three webhooks."""
_NAT64 = IPv6Network("64:ff9b::/96")
_ASSIGNED = (IPv6Network("2000::/3"), _NAT64)
"""All of IPv6 that may be called. The rest is not given out, or belongs to a site, or is a form of an address of IPv4
that some gateway takes apart."""
_RESERVED = (
    IPv6Network("3fff::/20"),  # for documentation
    IPv4Network("192.0.0.0/24"),  # of protocols, for what is near
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, which are gone
    IPv4Network("168.63.129.16/32"),  # what a machine in Azure asks about itself
)
"""Refused beside what the standard library refuses, whose list is another in each of its releases."""


class NotPublicError(Exception):
    """A name or address that leads to where nothing may be sent."""


def is_allowed(address: Address, *, allow_loopback: bool = False) -> bool:
    """Whether an address may be called: one that is reachable from everywhere, by itself and by every address of IPv4
    that is wrapped in it. `allow_loopback` also allows those of the machine itself."""
    if allow_loopback and address.is_loopback:
        return True
    return all(_is_public(each) for each in (address, *_wrapped(address)))


def check_literal(host: str, *, allow_loopback: bool = False) -> None:
    """Raises NotPublicError where a host is an address that may not be called, in whichever form. Names pass: it is
    looked at where they lead when they are called."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return
    _check(found, allow_loopback=allow_loopback)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Keeps calls from addresses that may not be called.

    All that a name leads to is judged before the call, and by the library the address that the connection is made to:
    what a name leads to a moment later changes nothing.
    """

    allow_loopback: bool = False
    _look_ups: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MAX_LOOK_UPS, "look-up"), init=False, repr=False
    )

    async def check(self, host: str) -> None:
        """Raises NotPublicError where a host is, or its name leads to, an address that may not be called, and OSError
        where it leads to none. Decimal and octal forms of addresses are what the system's look-up takes them for."""
        found = await asyncio.get_running_loop().run_in_executor(self._look_ups, _look_up, host)
        _check(found, allow_loopback=self.allow_loopback)

    def guard(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        """Makes a client connect to nothing but allowed addresses."""

        def validate(_host: str, address: Address, _port: int) -> bool:
            return is_allowed(address, allow_loopback=self.allow_loopback)

        return httpx_ssrf_protection(
            client,
            check_globally_reachable=not self.allow_loopback,
            custom_validator=validate,
            dns_cache_size=DNS_NAMES,
            dns_cache_ttl=DNS_SECONDS,
        )

    def close(self) -> None:
        """Ends the threads; look-ups that nobody waits for any more end by themselves."""
        self._look_ups.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))


def _check(found: Iterable[tuple[Any, ...]], *, allow_loopback: bool) -> None:
    for *_, where in found:
        # Without the zone, which names an interface of the machine.
        address = ip_address(str(where[0]).partition("%")[0])
        if not is_allowed(address, allow_loopback=allow_loopback):
            raise NotPublicError("the address is not public")


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and not any(address in each for each in _ASSIGNED):
        return False
    return address.is_global and not address.is_multicast and not any(address in each for each in _RESERVED)


def _wrapped(address: Address) -> list[IPv4Address]:
    """The addresses of IPv4 that one of IPv6 leads to, by those forms that may be called."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(address.packed[-4:]))
    return [each for each in found if each is not None]
