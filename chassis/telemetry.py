"""Logs and metrics of a service process."""

import logging
import sys

import structlog
from prometheus_client import Counter, Histogram, start_http_server

from chassis.settings import ServiceSettings

RPC_SECONDS = Histogram("upline_rpc_seconds", "Time to answer a call.", ["method"])
EVENTS = Counter("upline_events_total", "Events handled from a stream.", ["consumer"])


def configure(settings: ServiceSettings, service: str) -> None:
    """Sets logging up, and the metrics endpoint if a port is set."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(
            colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True) if settings.log_json else _no_time,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info if settings.log_json else _no_time,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host)


def _no_time(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event  # whoever runs the process in the foreground stamps the lines itself
