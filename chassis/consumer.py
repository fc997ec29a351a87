"""Reading a stream in batches: a message is acknowledged after the commit, and set aside where it cannot be handled."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import structlog
from nats.aio.msg import Msg

from chassis.database import is_transient
from chassis.dead_letters import About, DeadLetters, History, message_name
from chassis.migrate import assert_migrated
from chassis.progress import STALLED_SECONDS, Progress
from chassis.pull import EXPIRES_SECONDS, ConsumerGoneError, Pull
from chassis.stream import Stream
from chassis.telemetry import BATCH_MESSAGES, BATCH_SECONDS, MESSAGES, UNACKNOWLEDGED, UNDELIVERED
from chassis.telemetry import STALLED_SECONDS as STALLED
from chassis.topology import StreamSpec

HEARTBEAT_SECONDS = 5.0
"""The time between two requests to the broker for more time: a third of what it gives,
`chassis.stream.ACK_WAIT_SECONDS`."""
FETCH_MESSAGES = 256
RETRY_SECONDS = (0.2, 1.0, 5.0, 15.0, 30.0, 60.0)
"""The pauses before a failed message is delivered again, the last one from then on; a plain nak comes back within 10 ms
and spins. What fails `chassis.dead_letters.MAX_ATTEMPTS` times has been tried for ten minutes."""

SUSPECT_DELIVERIES = 2
"""So many deliveries that were neither acknowledged nor counted as failures make a message suspect of killing the
process. The broker counts deliveries, so that nothing is written before the work of a batch. One is no sign: whatever
was in hand when a process died comes again."""
MAX_UNANSWERED = 5
"""So many of them, the last of them alone, and a message is set aside: a process may be killed once or twice for a
reason of its own while it works on it."""
ACQUIT_SECONDS = 2.0
"""The time that a process which stops takes for a note about the message in hand."""

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
NOTHING_KNOWN: Mapping[int, About] = MappingProxyType({})


Handle = Callable[[Sequence[bytes]], Awaitable[None]]


class StalledError(Exception):
    """Events wait, and none of them is settled."""


class SomeFailedError(Exception):
    """Some of several messages could not be handled, and all the others were."""

    def __init__(self, failures: Mapping[int, Exception], about: Mapping[int, About] = NOTHING_KNOWN) -> None:
        """`failures`: the error of each message that failed, by its place among all. `about`: the fact at fault, where
        it is known, by the same places."""
        super().__init__(str(next(iter(failures.values()))))
        self.failures = failures
        self.about = about


class _Failure(NamedTuple):
    """A message that failed."""

    error: Exception
    about: About


_NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class _ByHistory:
    """Messages by what is known of them."""

    new: list[Msg]
    """Those that never failed."""
    failed: list[Msg] = field(default_factory=list)
    """Those that did: handled after the new ones, they hold none of them up."""
    suspect: list[tuple[Msg, History]] = field(default_factory=list)
    """Those that were given to processes which never said what became of them: handled alone, last of all."""


@dataclass
class Consumer:
    """Reads one durable consumer in batches; any number of processes may read the same one.

    `handle` commits what the payloads say, and must be safe to call twice with the same payloads. Where it knows which
    of them failed, it handles the others and raises SomeFailedError.
    """

    stream: Stream
    spec: StreamSpec
    durable: str
    handle: Callable[[Sequence[bytes]], Awaitable[None]]
    dead_letters: DeadLetters
    fetch_messages: int = FETCH_MESSAGES
    progress: Progress = field(default_factory=Progress)
    retry_seconds: tuple[float, ...] = RETRY_SECONDS
    expires_seconds: float = EXPIRES_SECONDS

    async def run(self) -> None:
        """Reads until cancelled; then hands back the messages it holds, for others to work on at once."""
        pull: Pull | None = None
        messages: list[Msg] = []
        try:
            while True:
                try:
                    if pull is None:
                        pull = await self.stream.pull(self.spec, self.durable, self.expires_seconds)
                    messages = await pull.next(self.fetch_messages)
                except ConsumerGoneError:
                    await self._recreate()
                    continue
                except Exception as error:
                    log.warning("cannot pull, will retry", consumer=self.durable, error=error)
                    if pull is not None and pull.closed:
                        pull = None
                    await asyncio.sleep(RETRY_SECONDS[1])
                    continue
                if messages:
                    await self._work_on(messages)
        finally:
            await self._hand_back(pull, messages)

    async def check_progress(self) -> None:
        """Tells by metrics how far it is behind. Raises StalledError where events have waited for STALLED_SECONDS and
        none of them was settled."""
        try:
            lag = await self.stream.lag(self.spec, self.durable)
        except Exception:  # without the broker nothing can be done, and that is told as such
            self.progress.made()
            raise
        seconds = self.progress.stalled_seconds(lag.undelivered, lag.delivered)
        UNDELIVERED.labels(self.durable).set(lag.undelivered)
        UNACKNOWLEDGED.labels(self.durable).set(lag.unacknowledged)
        STALLED.labels(self.durable).set(seconds)
        if seconds > STALLED_SECONDS:
            raise StalledError(
                f"events have waited for the consumer {self.durable} of this process for {STALLED_SECONDS:.0f} s, and"
                " none was settled, although database and broker answer"
            )

    async def _work_on(self, messages: list[Msg]) -> None:
        heartbeat = asyncio.create_task(_ask_for_time(messages))
        self.progress.in_hand = len(messages)
        BATCH_MESSAGES.labels(self.durable).observe(len(messages))
        began = asyncio.get_running_loop().time()
        try:
            await self._handle_all(messages)
        finally:
            self.progress.in_hand = 0
            BATCH_SECONDS.labels(self.durable).observe(asyncio.get_running_loop().time() - began)
            heartbeat.cancel()

    async def _handle_all(self, messages: list[Msg]) -> None:
        by_history = await self._by_history(messages)
        for each in (by_history.new, by_history.failed):
            if each:
                await self._handle(each)
        for message, history in by_history.suspect:
            await self._handle_alone(message, history)

    async def _by_history(self, messages: list[Msg]) -> _ByHistory:
        again = [each for each in messages if _delivered(each) > 1]
        if not again:
            return _ByHistory(messages)
        try:
            histories = await self._once_able(partial(self.dead_letters.histories, self.durable, again))
        except Exception as error:  # those that fail take others with them, who are found again by trying each alone
            log.warning("cannot tell which messages failed before", consumer=self.durable, error=error)
            return _ByHistory(messages)
        found = _ByHistory([])
        for each in messages:
            history = histories.get(message_name(each), _NO_HISTORY)
            if history.parked or _unanswered(each, history) >= SUSPECT_DELIVERIES:
                found.suspect.append((each, history))
            else:
                (found.failed if history.attempts else found.new).append(each)
        # Whatever is known to have been alone when its process died comes last: it may take the next one with it.
        found.suspect.sort(key=lambda each: each[1].on_trial)
        return found

    async def _handle_alone(self, message: Msg, history: History) -> None:
        """Handles a message that may have taken a process with it; sets it aside once that is known."""
        took_process = history.on_trial and _unanswered(message, history) >= MAX_UNANSWERED
        try:
            if took_process:
                await self._once_able(partial(self.dead_letters.set_aside, self.durable, message))
                MESSAGES.labels(self.durable, "set_aside").inc()
                log.error("message took the process with it, set aside as a dead letter", consumer=self.durable)
            if took_process or history.parked:
                await message.term()
                return
            await self._once_able(partial(self.dead_letters.begin_trial, self.durable, message))
        except Exception as error:
            log.warning("cannot handle a message alone, will retry", consumer=self.durable, error=error)
            await self._nak(message)
            return
        try:
            await self._handle([message])
        except asyncio.CancelledError:  # the process is told to stop, so the message is not to blame
            await self._acquit(message)
            raise

    async def _acquit(self, message: Msg) -> None:
        """Takes the note back that a message is being handled alone."""
        try:
            async with asyncio.timeout(ACQUIT_SECONDS):
                await self.dead_letters.end_trial(self.durable, message)
        except Exception as error:  # then it takes one death less until it is set aside
            log.warning("cannot note that a message is not handled any more", consumer=self.durable, error=error)

    async def _hand_back(self, pull: Pull | None, messages: list[Msg]) -> None:
        try:
            if pull is not None:
                messages = messages + await pull.close()
            for message in messages:
                if not message.is_acked:
                    await message.nak()
        except Exception as error:  # they are delivered again when their time is over
            log.warning("cannot hand back", consumer=self.durable, error=error)

    async def _recreate(self) -> None:
        """Makes the stream again that a broker which lost its disk does not have, rather than wait for an operator."""
        log.warning("stream or consumer is gone, creating it", stream=self.spec.name, consumer=self.durable)
        try:
            await self.stream.ensure(self.spec)
        except Exception as error:
            log.warning("cannot create stream", stream=self.spec.name, error=error)
            await asyncio.sleep(RETRY_SECONDS[1])

    async def _handle(self, messages: list[Msg]) -> None:
        """Handles messages. Those that fail keep no other from being handled and acknowledged at once."""
        failures = await self._failures(messages)
        MESSAGES.labels(self.durable, "settled").inc(len(messages) - len(failures))
        await self._acknowledge([each for place, each in enumerate(messages) if place not in failures])
        for place, failure in sorted(failures.items()):
            if not await self._give_up(messages[place], failure):
                await self._nak(messages[place])

    async def _failures(self, messages: list[Msg]) -> Mapping[int, _Failure]:
        """Handles messages together, and where it is not known which of them failed, each one alone. Returns those that
        failed, by their places."""
        try:
            await self._once_able(lambda: self.handle([each.data for each in messages]))
        except SomeFailedError as error:
            return {place: _Failure(each, error.about.get(place, {})) for place, each in error.failures.items()}
        except Exception as error:
            if len(messages) == 1:
                return {0: _Failure(error, {})}
            alone = [await self._failures([each]) for each in messages]
            return {place: failed[0] for place, failed in enumerate(alone) if failed}
        return {}

    async def _once_able(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Does the work. Where it fails because the database is away, is not migrated or takes no writes, it is no
        fault of a message: the work waits for the database, in hand, and is done again."""
        tries = 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not _may_pass(error) or await self._is_able():
                    raise
                log.warning("the database is away, will retry", consumer=self.durable, error=error)
            self.progress.made()  # nothing can be done, and health tells why
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 2)])
            tries += 1

    async def _is_able(self) -> bool:
        """Whether the database does what any message needs."""
        database = self.dead_letters.database
        try:
            await self.dead_letters.require_writable()
            await assert_migrated(database, database.schema)
        except Exception as error:
            log.warning("the database is not able", consumer=self.durable, error=error)
            return False
        return True

    async def _give_up(self, message: Msg, failure: _Failure) -> bool:
        """Counts a failure; says whether it was the last one allowed, so that the message is set aside."""
        error, about = failure
        try:
            if not await self.dead_letters.give_up(self.durable, message, error, about):
                self.progress.failed(message_name(message))
                MESSAGES.labels(self.durable, "failed").inc()
                log.error("message failed, will retry", consumer=self.durable, **about, exc_info=error)
                return False
            MESSAGES.labels(self.durable, "set_aside").inc()
            log.error("message set aside as a dead letter", consumer=self.durable, **about, exc_info=error)
            await message.term()
            self.progress.made()
        except Exception as fault:  # it is delivered again, and fails again, until this can be told
            log.warning("cannot set a message aside, will retry", consumer=self.durable, error=fault)
            return False
        return True

    async def _acknowledge(self, messages: list[Msg]) -> None:
        try:
            for message in messages:
                await message.ack()
                self.progress.made()
        except Exception as error:
            log.warning("cannot acknowledge", consumer=self.durable, error=error)

    async def _nak(self, message: Msg) -> None:
        wait = self.retry_seconds[min(_delivered(message), len(self.retry_seconds)) - 1]
        try:
            await message.nak(delay=wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
        except Exception as error:
            log.warning("cannot nak", consumer=self.durable, error=error)


async def _ask_for_time(messages: Sequence[Msg]) -> None:
    """Keeps messages that are worked on from being delivered again, until cancelled."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        try:
            for message in messages:
                if not message.is_acked:
                    await message.in_progress()
        except Exception as error:  # they may come again, which costs work and changes nothing
            log.warning("cannot ask for more time", error=error)


def _delivered(message: Msg) -> int:
    return message.metadata.num_delivered or 1


def _unanswered(message: Msg, history: History) -> int:
    """How often a message was delivered before, and neither acknowledged nor counted as a failure."""
    return _delivered(message) - 1 - history.attempts


def _may_pass(error: Exception) -> bool:
    """Whether the error, or one of its parts, may be that of a database which is away."""
    return any(map(is_transient, error.failures.values() if isinstance(error, SomeFailedError) else [error]))
