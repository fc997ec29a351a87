"""One call of a webhook: bounded in time and bytes, to public addresses only, with nothing of a caller's in its
headers."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr

from chassis.ids import new_id
from services.notify.channels import webhook
from services.notify.channels.addresses import AddressGuard, NotPublicError, check_literal
from services.notify.channels.webhook import WebhookChannel, WebhookSecrets
from services.notify.domain.cause import Amount, Asset, Kind
from services.notify.domain.delivery import Outgoing, Result
from services.notify.domain.inbox import Entry, Inbox
from tests.conftest import SECRET
from tests.errors import reason_of
from tests.integration.notify.receiver import Hooks, receiving
from tests.running import Running

MOMENT = datetime(2026, 3, 5, 12, tzinfo=UTC)
PRIVATE = [
    "127.0.0.1", "127.1", "127.000.000.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1",
    "0", "0.0.0.0", "10.0.0.1", "10.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166",
    "0xA9FEA9FE", "198.18.0.1", "192.0.2.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:7f00:1::1]",
    "[2001:db8::1]", "[100::1]", "[::ffff:0:7f00:1]", "[64:ff9b:1::a9fe:a9fe]", "[fec0::1]", "[4000::1]", "[5f00::1]",
    "[3fff::1]", "192.0.0.8", "192.0.0.9", "192.88.99.1", "168.63.129.16", "[64:ff9b::a83f:8110]", "[2002:a83f:8110::]",
]  # fmt: skip
"""Private, loopback, link-local, shared, reserved, documented and multicast addresses, in every form that a system's
look-up or a gateway takes apart."""
PUBLIC = ["93.184.216.34", "8.8.8.8", "[2606:2800:220:1:248:1893:25c8:1946]", "[64:ff9b::808:808]"]


def outgoing(url: str, person: str = "maria", reason: str = "") -> Outgoing:
    """A delivery about somebody."""
    entry = Entry(
        inbox=Inbox("shop", person),
        entry_id=new_id(),
        kind=Kind.EARNED,
        cause_id="e-1",
        conversion_id="order-1",
        event_type="order",
        buyer_id="vera",
        level=1,
        assets={"points": Asset("points", False, 0)},
        amounts=(Amount("points", 5, 0),),
        hold_until=None,
        contest_id="",
        reason=reason,
        rank=0,
        occurred_at=MOMENT,
        create_time=MOMENT,
        read=False,
        texts_version=0,
        chosen_locale="",
    )
    return Outgoing(
        delivery_no=1,
        delivery_id=new_id(),
        endpoint_id=UUID(int=7),
        participant_id=person,
        program_id="shop",
        attempts=1,
        tries=1,
        lease_until=MOMENT,
        url=url,
        secret_version=1,
        signs_twice=False,
        is_failing=False,
        entry=entry,
    )


@asynccontextmanager
async def channel(
    *, allow_loopback: bool = True, seconds: float = webhook.SEND_SECONDS
) -> AsyncIterator[WebhookChannel]:
    """A channel that is closed afterwards."""
    one = WebhookChannel(WebhookSecrets(SecretStr(SECRET)), allow_loopback, seconds=seconds)
    try:
        yield one
    finally:
        await one.close()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """A server that says what it likes, and its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def sent(talk: Talk, seconds: float = 1.0) -> Result:
    """The result of a call that such a server answers."""
    async with talking(talk) as url, channel(seconds=seconds) as one:
        return await one.send(outgoing(url))


# Bounds


async def test_an_answer_that_drips_ends_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert await sent(drip) == Result(error="no whole answer within 1 seconds")


async def test_headers_that_drip_end_in_time() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert await sent(drip) == Result(error="no whole answer within 1 seconds")


async def test_who_says_nothing_is_not_waited_for() -> None:
    async def be_silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    assert await sent(be_silent) == Result(error="no whole answer within 1 seconds")


async def test_of_a_long_answer_little_is_read() -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
            written += 65_536

    assert await sent(pour, seconds=10.0) == Result(200)
    assert written < 64 * 1024 * 1024, "what the system's own buffers take is written, and no more"


async def test_headers_without_end_are_a_failure() -> None:
    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            writer.write(b"y" * 65_536)
            await writer.drain()

    assert (await sent(pour, seconds=10.0)).error == "the call failed (RemoteProtocolError)"


async def test_what_is_no_http_is_a_failure() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        await writer.drain()

    assert (await sent(babble)).error.startswith("the call failed")


async def test_a_closed_port_is_a_failure() -> None:
    async with talking(lambda *_: asyncio.sleep(0)) as url:
        pass
    async with channel() as one:
        assert (await one.send(outgoing(url))).error == "the call failed (ConnectError)"


@pytest.mark.parametrize(
    ("status", "told", "seconds"),
    [
        (429, "120", 120.0),
        (503, "7", 7.0),
        (500, "7", 0.0),
        (429, "soon", 0.0),
        (429, "-5", 0.0),
        (429, "9" * 400, 9_999_999_999.0),
        (429, "Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
async def test_who_asks_for_a_pause_is_heard(status: int, told: str, seconds: float) -> None:
    async with receiving() as receiver, channel() as one:
        receiver.answers(status, **{"Retry-After": told})
        assert (await one.send(outgoing(receiver.url))).retry_after_seconds == seconds


async def test_a_pause_may_be_a_time() -> None:
    async with receiving() as receiver, channel() as one:
        receiver.answers(429, **{"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})
        assert (await one.send(outgoing(receiver.url))).retry_after_seconds > 86_400


# What is sent


async def test_nothing_that_people_say_gets_into_headers() -> None:
    evil = 'x\r\nwebhook-id: other\r\n\r\n{"type":"evil"} \u2028 "\\'
    async with receiving() as receiver, channel() as one:
        assert await one.send(outgoing(receiver.url, evil, reason=evil)) == Result(204)
        [taken] = receiver.taken
        assert taken.data["participant_id"] == taken.data["reason"] == evil
        assert taken.id.startswith("msg_")
        assert taken.id.replace("_", "").isalnum()
        assert not [each for each in taken.headers.values() if "evil" in each or "other" in each]
        taken.verify(WebhookSecrets(SecretStr(SECRET)).get(UUID(int=7), 1))


async def test_cookies_are_neither_kept_nor_sent() -> None:
    async with receiving() as receiver, channel() as one:
        receiver.answers(204, **{"Set-Cookie": "session=1; Path=/"})
        for _ in range(2):
            assert await one.send(outgoing(receiver.url)) == Result(204)
        assert not [each for each in receiver.taken if "cookie" in each.headers]


async def test_what_is_not_kept_any_more_is_not_sent() -> None:
    from dataclasses import replace

    async with receiving() as receiver, channel() as one:
        result = await one.send(replace(outgoing(receiver.url), entry=None))
        assert result.is_final
        assert not receiver.taken


# Addresses


@pytest.mark.parametrize("host", PRIVATE)
async def test_private_addresses_are_refused_in_every_form(host: str) -> None:
    bare = host.strip("[]")
    with pytest.raises(NotPublicError):
        check_literal(bare)
    with pytest.raises(NotPublicError):
        await checked(bare)
    async with channel(allow_loopback=False) as one:
        # Some forms are no address at all for the library that calls.
        told = {"the address is not public", "the name leads to no address"}
        assert (await one.send(outgoing(f"https://{host}/"))).error in told


@pytest.mark.parametrize("host", PUBLIC)
async def test_public_addresses_are_not(host: str) -> None:
    check_literal(host.strip("[]"))
    await checked(host.strip("[]"))


@pytest.mark.parametrize("host", ["localhost", "a.localhost"])
async def test_names_of_the_machine_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    async with channel(allow_loopback=False) as one:
        assert (await one.send(outgoing(f"https://{host}/"))).error == "the address is not public"


async def checked(host: str) -> None:
    """Looks whether a host may be called."""
    guard = AddressGuard()
    try:
        await guard.check(host)
    finally:
        guard.close()


async def test_the_name_that_is_called_is_the_one_that_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["10.0.0.1"])
    async with channel(allow_loopback=False) as one:
        assert (await one.send(outgoing("https://stra\u00dfe.example/"))).error == "the address is not public"
    assert set(asked) == {"xn--strae-oqa.example"}, "and not strasse.example, as the system would read it"


async def test_a_name_one_of_whose_addresses_is_private_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(NotPublicError):
        await checked("half.example")


async def test_a_name_that_changes_between_look_up_and_connection_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(1))

    async with talking(listen) as url, channel(allow_loopback=False) as one:
        port = url.rstrip("/").rpartition(":")[2]
        asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
        result = await one.send(outgoing(f"http://changing.example:{port}/"))
        assert result.error == "the address is not public"
        assert len(asked) >= 2
        await asyncio.sleep(0)
    assert not [each for each in came if each], "a connection at most, and not a byte on it"


async def test_a_look_up_without_end_ends_in_time_and_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"])
    answered, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: str | bytes, *rest: object, **named: object) -> object:
        if host == "silent.example":
            answered.wait(30)
        return look_up(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        async with receiving() as receiver, channel(seconds=2.0) as one:
            silent = [asyncio.create_task(one.send(outgoing("http://silent.example/"))) for _ in range(20)]
            await asyncio.sleep(0)
            assert await one.send(outgoing(receiver.url)) == Result(204)
            assert {await each for each in silent} == {Result(error="no whole answer within 2 seconds")}
    finally:
        answered.set()
    assert "silent.example" not in asked


async def test_a_name_that_leads_nowhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [])
    async with channel(allow_loopback=False) as one:
        assert (await one.send(outgoing("https://nowhere.example/"))).error == "the name leads to no address"


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Has names lead to these addresses, one list at each look-up, the last one from then on; returns what is asked.
    Nothing is asked of a server of names."""
    left, asked = list(answers), list[str]()
    plain = socket.getaddrinfo

    def look_up(host: str | bytes, port: int | None, *rest: object, **named: object) -> list[tuple[object, ...]]:
        name = host.decode() if isinstance(host, bytes) else host
        if name.replace(".", "").isdigit():
            return plain(host, port, *rest, **named)  # type: ignore[arg-type, return-value]
        asked.append(name)
        found = left.pop(0) if len(left) > 1 else left[0]
        if not found:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


# What a webhook may be


@pytest.mark.parametrize(
    "url",
    [
        "https://user@hooks.example/", "https://user:word@hooks.example/", "https://hooks.example/#part", "https:///x",
        "https://[fe80::1]/", "https://10.0.0.1/", "https://2852039166/", "https://169.254.169.254/latest/meta-data",
        "https://hooks.example:99999/", "https://①27.0.0.1/", "ftp://hooks.example/", "https://hooks.example/\r\nx: y",
        "https://hooks.example/ x", "file:///etc/passwd", "", "https://" + "x" * 2000 + ".example/",
        "https://" + "x" * 64 + ".example/", "https://hooks..example/", "https://hooks.example:0/",
    ],
)  # fmt: skip
async def test_a_bad_address_is_refused_with_its_name(
    url: str, notify: Running, new_program_id: Callable[[str], str]
) -> None:
    hooks = Hooks(notify, new_program_id("bad"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hooks.create(url)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) in {"INVALID_WEBHOOK_URL", "INVALID_FIELD"}
    assert "url" in (caught.value.details() or "")
    assert not await hooks.listed()
