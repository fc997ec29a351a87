"""The HTTP server on which a process tells its metrics, to whoever reaches its port.

prometheus_client's own waits for ever for a request that never ends, and answers a version of a format that is no
number with an error of its own, each time with a trace in the log.
"""

import socket
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app

REQUEST_SECONDS = 10.0
"""The longest wait for more of a request, and for whoever asked to take more of the answer."""

log = structlog.get_logger(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away or is too slow is nothing to be looked at."""
        log.debug("metrics were not told", client=client_address, error=sys.exc_info()[1])


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Logs no request."""


def serve_metrics(host: str, port: int) -> WSGIServer:
    """Tells metrics from now on, in threads of its own; raises OSError where the port is taken."""
    tell = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            told: Iterable[bytes] = tell(environ, start_response)
        except (TypeError, ValueError):
            start_response("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"Accept asks for a version of a format that is no number: leave it out.\n"]
        return told

    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    server_class: type[WSGIServer] = type("_FamilyServer", (_Server,), {"address_family": family})
    server: WSGIServer = make_server(host, port, answer, server_class, handler_class=_Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
