"""Logs and metrics of a service process.

Every line goes through the same processors, also those of libraries: it names the service, and tells errors as
`chassis.faults` does. Log lines take an error as it is (`error=error`), never its text.
"""

import asyncio
import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server
from structlog.typing import EventDict, Processor

from chassis.faults import describe, trace
from chassis.settings import ServiceSettings

RPC_SECONDS = Histogram("upline_rpc_seconds", "Time to answer a call.", ["method"])
BROKER_READY = Gauge(
    "upline_broker_ready", "1 while the broker has what the process uses and stores what it publishes."
)
CONNECTIONS_IN_USE = Gauge(
    "upline_connections_in_use", "Connections to the database that are in use, by class of work.", ["service", "work"]
)
REFUSED_CALLS = Counter(
    "upline_calls_refused_total", "Calls refused because too many of their class were under way.", ["class"]
)
UNDELIVERED = Gauge(
    "upline_consumer_undelivered_messages",
    "Messages of a stream that no process of their consumer was given yet, as the broker counts them.",
    ["consumer"],
)
UNACKNOWLEDGED = Gauge(
    "upline_consumer_unacknowledged_messages",
    "Messages that a process of their consumer was given and did not acknowledge yet, as the broker counts them.",
    ["consumer"],
)
STALLED_SECONDS = Gauge(
    "upline_consumer_stalled_seconds",
    "Time for which events have waited for this process and none was settled; 0 while some are, or none waits.",
    ["consumer"],
)
EVENTS = Counter("upline_events_total", "Events handled from a stream.", ["consumer"])
REMOVED_ROWS = Counter("upline_removed_rows_total", "Rows that had lived their time and were removed.", ["table"])
LIBRARY_LEVEL = logging.WARNING
"""The level from which libraries log. Below it they log statements, parameters and addresses, so it does not follow
UPLINE_LOG_LEVEL."""

log = structlog.get_logger(__name__)
_library_handlers: list[logging.Handler] = []


def configure(settings: ServiceSettings, service: str) -> None:
    """Sets logging up, and the metrics endpoint if a port is set."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )

    def name_service(_logger: object, _name: str, event: EventDict) -> EventDict:
        # Not a context variable: those belong to one task, and what runs besides it, or in a thread, would have none.
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        name_service,
        # Whoever runs the process in the foreground stamps the lines itself.
        *([structlog.processors.TimeStamper(fmt="iso", utc=True)] if settings.log_json else []),
        structlog.processors.StackInfoRenderer(),
        _tell_errors,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _configure_libraries([*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer])
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host)


def report_unretrieved(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs an error that nobody awaited. An event loop's own handler writes the error's text, with all it holds, into
    the message."""
    log.error("error that nobody awaited", what=context["message"], exc_info=context.get("exception"))


def _configure_libraries(processors: list[Processor]) -> None:
    root = logging.getLogger()
    for handler in _library_handlers:
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(LIBRARY_LEVEL)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors))
    root.addHandler(handler)
    _library_handlers[:] = [handler]


def _tell_errors(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Turns errors into texts: into one line where they are a value, with their trace where they are `exc_info`."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        event["exception"] = trace(error)
    return {name: describe(each) if isinstance(each, BaseException) else each for name, each in event.items()}
