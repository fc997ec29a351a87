"""Metrics by HTTP, whatever is asked."""

import socket
from collections.abc import Iterator

import pytest

from chassis import exposition
from chassis.exposition import serve_metrics

SECONDS = 30.0


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server that waits for a moment only."""
    monkeypatch.setattr(exposition._Handler, "timeout", 0.2)
    server = serve_metrics("127.0.0.1", 0)
    yield server.server_port
    server.shutdown()
    server.server_close()


def ask(port: int, sent: bytes) -> bytes:
    """All that is answered until the connection ends."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(sent)
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_metrics_are_told(port: int) -> None:
    answer = ask(port, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"\nprocess_start_time_seconds " in answer


def test_a_version_that_is_no_number_is_refused(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    accept = b"Accept: application/openmetrics-text; version=one\r\n"
    assert ask(port, b"GET /metrics HTTP/1.0\r\n" + accept + b"\r\n").startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.0\r\nX-Slow: "], ids=["nothing", "header"])
def test_who_sends_no_whole_request_is_ended(port: int, capfd: pytest.CaptureFixture[str], sent: bytes) -> None:
    assert ask(port, sent) == b""
    assert "Traceback" not in capfd.readouterr().err
