"""A TCP proxy between two parts of a stack, by which what goes between them can be cut, slowed or swallowed.

Nobody on either side knows of it. What it spoils is a property of the link, so that connections which are made
meanwhile are spoilt too. It works on one event loop and holds nothing but the chunks that are on their way.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing resets the connection."""


class Way(Enum):
    """A direction on a link."""

    THERE = "there"
    """From whoever connects to the server."""
    BACK = "back"


@dataclass(eq=False)
class _Connection:
    near: asyncio.StreamWriter
    """The side of whoever connected."""
    far: asyncio.StreamWriter
    swallowed: set[Way] = field(default_factory=set)
    """The ways on which everything is lost, the end of the connection too, for as long as it lasts."""
    pumps: list["asyncio.Task[None]"] = field(default_factory=list)

    def end(self, *, reset: bool) -> None:
        for each in (self.near, self.far):
            if reset:
                with suppress(OSError):
                    each.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.transport.abort()
            else:
                each.close()


@dataclass(eq=False)
class Link:
    """The way between whoever connects to `port` and the server behind it."""

    name: str
    server_port: int
    port: int = 0
    """Where it listens, once started; 0 takes a free one."""
    delay_seconds: float = 0.0
    """How long each chunk takes, one after the other."""
    bytes_per_second: float = 0.0
    """How much goes through each way; 0 for no limit."""
    refusing: bool = False
    """Whether connections are reset as soon as they are made."""
    swallowing: frozenset[Way] = frozenset()
    """The ways on which everything is lost."""
    _connections: set[_Connection] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _accepted: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> None:
        """Begins to listen on 127.0.0.1."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends everything that goes through it."""
        if self._server is not None:
            self._server.close()
        self.cut(reset=True)
        await asyncio.gather(*self._accepted, return_exceptions=True)

    def cut(self, *, reset: bool) -> int:
        """Ends all connections, with RST or with FIN; returns how many there were."""
        cut = list(self._connections)
        for each in cut:
            each.end(reset=reset)
        return len(cut)

    def swallow(self, ways: frozenset[Way]) -> None:
        """From now on loses everything on these ways, on the connections there are and on those that are made. What is
        half open stays so when the link is healed: neither side is told that the other one hears nothing."""
        self.swallowing = ways
        for each in self._connections:
            each.swallowed |= ways

    def heal(self, *, reset_swallowed: bool = False) -> None:
        """From now on lets everything through. Half-open connections stay as they are, unless they are to be reset, as
        by a peer that has forgotten them."""
        self.delay_seconds = self.bytes_per_second = 0.0
        self.refusing = False
        self.swallowing = frozenset()
        if reset_swallowed:
            for each in [each for each in self._connections if each.swallowed]:
                each.end(reset=True)

    def half_open(self) -> int:
        """How many connections there are on which something was swallowed."""
        return sum(bool(each.swallowed) for each in self._connections)

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._accepted.add(task)
        try:
            if self.refusing:
                raise ConnectionResetError
            from_far, far = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            with suppress(OSError):
                near.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            near.transport.abort()
            self._accepted.discard(task)
            return
        connection = _Connection(near, far, set(self.swallowing))
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(connection, Way.THERE, reader, far), self._pump(connection, Way.BACK, from_far, near)
            )
        finally:
            connection.end(reset=False)
            self._connections.discard(connection)
            self._accepted.discard(task)

    async def _pump(
        self, connection: _Connection, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hands on what comes one way, until its end. An end by reset ends the other way too."""
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                if seconds := self.delay_seconds + (len(chunk) / self.bytes_per_second if self.bytes_per_second else 0):
                    await asyncio.sleep(seconds)
                if way not in connection.swallowed:
                    writer.write(chunk)
                    await writer.drain()
            if way not in connection.swallowed and writer.can_write_eof():
                writer.write_eof()
        except OSError:
            if way not in connection.swallowed:
                connection.end(reset=True)
