"""The connections of visitors: how many there may be, and how long each may take.

Whoever connects and sends nothing, or a byte at a time, takes room and no more: they are ended when their time is over,
and earlier where somebody else needs the room. aiohttp bounds what a request may be, and not how slowly it comes.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from prometheus_client import Counter

MAX_CONNECTIONS = 2_000
"""The most connections of a process. Beyond them the one that waits longest for a request is ended for the new one; a
new one is ended where none waits."""
MAX_ADDRESS_CONNECTIONS = 200
"""The most connections of one address, where no proxy stands before the redirect: many visitors may share one."""
REQUEST_SECONDS = 10.0
"""The time in which a request has to have come, from the connection or the answer before on: it is the limit for slow
headers and for connections that idle."""
TOTAL_SECONDS = 60.0
"""The longest time that a connection lasts, whatever is done on it; a visitor needs one request."""

_ENDED = Counter(
    "upline_redirect_connections_ended", "Connections to the redirect that were ended before their time.", ["reason"]
)


class Connections:
    """The connections of one process."""

    def __init__(self, address_limit: int) -> None:
        self._address_limit = address_limit
        self._open: dict[asyncio.BaseTransport, Connection] = {}
        self._addresses: Tally[str] = Tally()
        self.waiting: dict[Connection, None] = {}
        """Those on which no request is being answered, the one that waits longest first."""

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def let_in(self, connection: "Connection") -> bool:
        """Takes a connection in, or says that there is no room for it."""
        if self._addresses[connection.address] >= self._address_limit:
            _ENDED.labels(reason="address").inc()
            return False
        if len(self._open) >= MAX_CONNECTIONS:
            _ENDED.labels(reason="full").inc()
            if not self.waiting:
                return False
            next(iter(self.waiting)).end()
        self._open[connection.transport] = connection
        self._addresses[connection.address] += 1
        return True

    def forget(self, connection: "Connection") -> None:
        """Makes room for another one."""
        if self._open.pop(connection.transport, None) is not None:
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    @web.middleware
    async def answering(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Stops the wait for a request while one is being answered."""
        connection = self._open.get(request.transport) if request.transport else None
        if connection is None:
            return await handler(request)
        connection.stop_waiting()
        try:
            return await handler(request)
        finally:
            connection.wait()


class Connection(asyncio.Protocol):
    """One connection; what comes on it goes to aiohttp's protocol as long as there is room and time."""

    transport: asyncio.Transport
    address: str

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._request_timer: asyncio.TimerHandle | None = None
        self._total_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins, if there is room."""
        self.transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._connections.let_in(self):
            self.transport.abort()
            return
        self._inner = self._make()
        self._inner.connection_made(transport)
        self._total_timer = asyncio.get_running_loop().call_later(TOTAL_SECONDS, self._end_late, "total")
        self.wait()

    def wait(self) -> None:
        """Waits for the next request, for so long."""
        self.stop_waiting()
        if not self.transport.is_closing():
            self._connections.waiting[self] = None
            self._request_timer = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self._end_late, "request")

    def stop_waiting(self) -> None:
        """A request came, or none is to come."""
        self._connections.waiting.pop(self, None)
        if self._request_timer:
            self._request_timer.cancel()

    def end(self) -> None:
        """Ends it at once."""
        self.stop_waiting()
        self._connections.forget(self)
        self.transport.abort()

    def _end_late(self, reason: str) -> None:
        _ENDED.labels(reason=reason).inc()
        self.end()

    def data_received(self, data: bytes) -> None:
        """Hands on what came."""
        if self._inner:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hands on that no more comes."""
        return self._inner.eof_received() if self._inner else None

    def pause_writing(self) -> None:
        """Hands on that the visitor does not read."""
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hands on that the visitor reads again."""
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for another one."""
        self.stop_waiting()
        if self._total_timer:
            self._total_timer.cancel()
        self._connections.forget(self)
        if self._inner:
            self._inner.connection_lost(exc)
