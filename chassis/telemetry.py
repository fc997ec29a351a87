"""Logs and metrics of a service process.

Every line goes through the same processors, also those of libraries: it names the service, and tells errors as
`chassis.faults` does. Log lines take an error as it is (`error=error`), never its text.
"""

import asyncio
import logging
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge, Histogram
from structlog.typing import EventDict, Processor

from chassis import tracing
from chassis.exposition import serve_metrics
from chassis.faults import describe, trace
from chassis.settings import ServiceSettings

_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
"""Bounds of how many things a batch holds."""
_BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds of how long a batch takes: from one order to the largest batch of the dearest plan."""
MOST_PROGRAMS: Final = 20
"""So many programs are named by a metric, those of which there is the most; all others are one together. Each name is a
series that is kept for weeks, and there may be thousands of programs."""

BUILD = Gauge(
    "upline_build_info",
    "Always 1; its labels tell the service, the version of the package, the newest revision of the database that its"
    " code knows, and its Python.",
    ["service", "version", "revision", "python"],
)
RPC_SECONDS = Histogram("upline_rpc_seconds", "Time to answer a call.", ["method"])
CALLS = Counter(
    "upline_calls_total",
    "Calls that ended, streams too, by the code of gRPC that their callers were told. CANCELLED: the caller went away,"
    " or its deadline was over.",
    ["method", "code"],
)
CALLS_UNDER_WAY = Gauge("upline_calls_under_way", "Calls that are being answered, by class of call.", ["class"])
CALLS_WAITING = Gauge(
    "upline_calls_waiting", "Calls that wait in line until others of their class have ended.", ["class"]
)
BROKER_READY = Gauge(
    "upline_broker_ready", "1 while the broker has what the process uses and stores what it publishes."
)
CONNECTIONS_IN_USE = Gauge(
    "upline_connections_in_use", "Connections to the database that are in use, by class of work.", ["service", "work"]
)
CONNECTIONS_LIMIT = Gauge(
    "upline_connections_limit", "Connections to the database that a class of work has at most.", ["service", "work"]
)
CONNECTIONS_WAITING = Gauge(
    "upline_connections_waiting",
    "Work that waits for a connection to the database, or for one to be opened, by class of work.",
    ["service", "work"],
)
REFUSED_CALLS = Counter(
    "upline_calls_refused_total", "Calls refused because too many of their class were under way.", ["class"]
)
LOOP_LAG_SECONDS = Histogram(
    "upline_loop_lag_seconds",
    "Time for which the event loop of the process was held, seen fifty times a second.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
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
MESSAGES = Counter(
    "upline_consumer_messages_total",
    "Messages by what became of them: settled, failed (they are tried again), or set_aside for a person.",
    ["consumer", "outcome"],
)
BATCH_MESSAGES = Histogram(
    "upline_consumer_batch_messages", "Messages that were worked on together.", ["consumer"], buckets=_COUNTS
)
BATCH_EVENTS = Histogram(
    "upline_consumer_batch_events", "Events that were settled or told together.", ["consumer"], buckets=_COUNTS
)
BATCH_SECONDS = Histogram(
    "upline_consumer_batch_seconds",
    "Time that messages which were worked on together took, with waits for a database that was away.",
    ["consumer"],
    buckets=_BATCH_SECONDS,
)
EVENTS = Counter("upline_events_total", "Events handled from a stream.", ["consumer"])
OUTBOX_ROWS = Gauge(
    "upline_outbox_rows", "Events that wait in the outbox for the broker; counted up to 10,000.", ["service"]
)
OUTBOX_AGE = Gauge(
    "upline_outbox_age_seconds", "Time since the oldest event was written that waits in the outbox.", ["service"]
)
PUBLISHED_ROWS = Counter("upline_outbox_published_total", "Events of the outbox that the broker stored.", ["service"])
DEAD_LETTERS = Gauge(
    "upline_dead_letters",
    "Messages that were set aside and wait for a person; counted up to 10,000.",
    ["service", "consumer"],
)
DEAD_LETTER_AGE = Gauge(
    "upline_dead_letter_age_seconds",
    "Time since the oldest message that waits for a person was set aside.",
    ["service", "consumer"],
)
MEASURED = Gauge(
    "upline_measured_timestamp_seconds",
    "When this process last read from the database what it tells of it: its outbox, dead letters, holds and payouts.",
    ["service"],
)
REMOVED_ROWS = Counter("upline_removed_rows_total", "Rows that had lived their time and were removed.", ["table"])
RECONCILED_FACTS = Counter(
    "upline_reconcile_facts_total", "Facts compared with what a reader has settled, by reader.", ["consumer"]
)
RECONCILE_GAPS_FOUND = Counter(
    "upline_reconcile_gaps_total", "Facts found that a reader did not have, by reader.", ["consumer"]
)
RECONCILE_GAPS_CLOSED = Counter(
    "upline_reconcile_gaps_closed_total", "Facts that a reader has after they were published again.", ["consumer"]
)
RECONCILE_OPEN_GAPS = Gauge("upline_reconcile_open_gaps", "Facts that a reader does not have, by reader.", ["consumer"])
RECONCILE_SET_ASIDE = Gauge(
    "upline_reconcile_set_aside", "Facts that were published again and are dead letters, by reader.", ["consumer"]
)
RECONCILE_LAG = Gauge(
    "upline_reconcile_lag_seconds",
    "Age of the oldest fact of which it is not known that its reader has it, by reader.",
    ["consumer"],
)
RECONCILE_ANSWERED = Gauge(
    "upline_reconcile_answered", "1 while the reader answers what it has settled, by reader.", ["consumer"]
)
LIBRARY_LEVEL = logging.WARNING
"""The level from which libraries log. Below it they log statements, parameters and addresses, so it does not follow
UPLINE_LOG_LEVEL."""

log = structlog.get_logger(__name__)


class Snapshot:
    """Values of a gauge by its labels, of which nothing stays that is no longer so."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._told: set[tuple[str, ...]] = set()

    def tell(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Tells exactly these."""
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._told - values.keys():
            self._gauge.remove(*labels)
        self._told = set(values)


def named_programs(counts: Mapping[str, float]) -> dict[str, float]:
    """Counts of the MOST_PROGRAMS programs that have the highest; those of all others are one, without a name."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    told = dict(ranked[:MOST_PROGRAMS])
    if rest := sum(count for _, count in ranked[MOST_PROGRAMS:]):
        told[""] = rest
    return told


_library_handlers: list[logging.Handler] = []


def configure(settings: ServiceSettings, service: str, revision: str = "") -> None:
    """Sets logging up, and the metrics endpoint if a port is set. `revision`: the newest one of the database that the
    code knows."""
    BUILD.labels(service, _package_version(), revision, platform.python_version()).set(1)
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
        _name_trace,
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
        serve_metrics(settings.host, settings.metrics_port)


def _package_version() -> str:
    try:
        return version("upline")
    except PackageNotFoundError:  # code that was copied, as into the container, rather than installed
        return ""


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


def _name_trace(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Names the trace of the call that a line belongs to, unless it names that of a fact. None is left out rather than
    empty."""
    if trace_id := event.pop("trace_id", "") or tracing.current():
        event["trace_id"] = trace_id
    return event


def _tell_errors(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Turns errors into texts: into one line where they are a value, with their trace where they are `exc_info`."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        event["exception"] = trace(error)
    return {name: describe(each) if isinstance(each, BaseException) else each for name, each in event.items()}
