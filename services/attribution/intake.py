"""Group commit of clicks: requests in flight share one message to the stream, and each learns the fate of its own
message.

The broker writes about as many messages a second as its disk can sync, whatever their size. So while two messages are
on their way, whatever arrives waits and travels together in the next one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from google.rpc import code_pb2
from nats.errors import Error as BrokerError
from upline.attribution.v1.click_pb2 import ClickBatch

from chassis.database import is_transient
from chassis.errors import UplineError, unavailable
from chassis.ids import new_id
from chassis.stream import Message, Stream
from chassis.topology import CLICKS

MAX_PART_CLICKS = 500
"""The most clicks that come together. Sealed, each is below 1.3 kB, so together they are below the broker's default
limit of 1 MB for a message."""
MAX_BATCH_CLICKS = 2_000
"""The most clicks of one message: four full calls share its costs, and the click writer still reads some dozen messages
at once."""
MAX_BATCH_BYTES = 512 * 1024
"""The most bytes of one message, unless its first part alone has more."""
MAX_BATCHES_IN_FLIGHT = 2
"""The number of messages in flight: one to be synced while the next one travels; more would only make batches
smaller."""
COMPANY_SECONDS_PER_CALL = 0.0005
"""The time that a call waits for company, for each call of the batch before; a lone one never waits. Above 2,000 calls
a second, batches grow from one to the next until a message costs little for each of its calls; below, nobody waits to
speak of."""
MAX_COMPANY_SECONDS = 0.008
"""The longest that a call waits for company: about the time to sync a message on a slow disk, and little beside the
time that calls wait at such a load anyway."""
MAX_WAITING_CLICKS = 50_000
"""The most clicks that wait: about 4 MB of usual ones, 65 MB of the longest. Callers who come then are told to slow
down instead of being kept waiting."""
CONNECTION_CHECK_SECONDS = 0.1
"""The time between two checks that the connection still stands while a message is on its way. A broken connection never
confirms the messages that it took with it, and callers are told so at once rather than when the stream has used up its
attempts."""
STALL_SECONDS = 2.0
"""The time after which a message counts as stuck, for a healthy broker confirms within milliseconds. While a message is
under way for longer, new callers are refused at once rather than kept waiting behind it: a broker that hangs has a
connection, until half a minute later its pings count as unanswered."""
_BATCH_TYPE = ClickBatch.DESCRIPTOR.full_name

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiter:
    frame: bytes
    click_count: int
    done: "asyncio.Future[None]"


class Intake:
    """The batcher of one process. `publish` takes a serialised ClickBatch and returns when it is on disk."""

    def __init__(
        self, publish: Callable[[bytes], Awaitable[None]], connected: Callable[[], bool] = lambda: True
    ) -> None:
        self._publish = publish
        self._connected = connected
        self._waiting: deque[_Waiter] = deque()
        self._waiting_clicks = 0
        self._sending: dict[asyncio.Task[None], float] = {}
        """Messages that are on their way, each with the time when it was sent."""
        self._last_batch_calls = 1
        self._timer: asyncio.TimerHandle | None = None

    async def record(self, frame: bytes, click_count: int) -> None:
        """Returns when the clicks in `frame`, a serialised ClickBatch of at most MAX_PART_CLICKS, are on disk.

        Raises UNAVAILABLE if they may not be, at once where there is no connection to the broker or it hangs, and
        RESOURCE_EXHAUSTED if too many wait already.
        """
        if click_count > MAX_PART_CLICKS:
            raise ValueError(f"{click_count} clicks do not fit into one message")
        if not self._connected() or self._stalled():
            raise _not_recorded()
        if self._waiting_clicks + click_count > MAX_WAITING_CLICKS:
            raise UplineError(
                code_pb2.RESOURCE_EXHAUSTED,
                "INTAKE_OVERLOADED",
                f"{self._waiting_clicks} clicks wait for the disk already; send the same again a little later",
            )
        waiter = _Waiter(frame, click_count, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._waiting_clicks += click_count
        self._pump()
        await waiter.done

    def _stalled(self) -> bool:
        latest = asyncio.get_running_loop().time() - STALL_SECONDS
        return any(began < latest for began in self._sending.values())

    async def drain(self) -> None:
        """Returns when nothing waits and nothing is on its way."""
        while self._waiting or self._sending:
            self._flush()
            await asyncio.gather(*self._sending)

    def _pump(self) -> None:
        """Sends if there is a free slot, unless it pays to wait for company."""
        if len(self._sending) >= MAX_BATCHES_IN_FLIGHT or not self._waiting:
            return
        if self._last_batch_calls == 1 or self._waiting_clicks >= MAX_BATCH_CLICKS:
            self._flush()
        elif self._timer is None:
            wait_seconds = min(MAX_COMPANY_SECONDS, COMPANY_SECONDS_PER_CALL * self._last_batch_calls)
            self._timer = asyncio.get_running_loop().call_later(wait_seconds, self._flush)

    def _flush(self) -> None:
        """Sends while there are slots and clicks."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while len(self._sending) < MAX_BATCHES_IN_FLIGHT and (batch := self._next_batch()):
            task = asyncio.create_task(self._send(batch))
            self._sending[task] = task.get_loop().time()
            task.add_done_callback(self._sent)

    def _next_batch(self) -> list[_Waiter]:
        """Takes the next batch from those that wait. Callers that gave up are left out, for nobody would hear of their
        clicks."""
        batch: list[_Waiter] = []
        click_count = size = 0
        while self._waiting:
            waiter = self._waiting[0]
            full = click_count + waiter.click_count > MAX_BATCH_CLICKS or size + len(waiter.frame) > MAX_BATCH_BYTES
            if batch and full:
                break
            self._waiting.popleft()
            self._waiting_clicks -= waiter.click_count
            if not waiter.done.cancelled():
                batch.append(waiter)
                click_count += waiter.click_count
                size += len(waiter.frame)
        if batch:
            self._last_batch_calls = len(batch)
        return batch

    async def _send(self, batch: list[_Waiter]) -> None:
        failure: Exception | None = None
        try:
            # Serialised messages, one after the other, are the serialised message of all their fields.
            await self._publish(b"".join([waiter.frame for waiter in batch]))
        except Exception as error:
            log.warning("clicks not recorded", callers=len(batch), error=error)
            failure = error
        for waiter in batch:
            if waiter.done.done():
                continue
            if failure is None:
                waiter.done.set_result(None)
            else:
                waiter.done.set_exception(_caller_error(failure))

    def _sent(self, task: "asyncio.Task[None]") -> None:
        del self._sending[task]
        self._pump()


def _caller_error(failure: Exception) -> Exception:
    """The error that a caller gets; each gets one of their own, for each is raised in another place."""
    if isinstance(failure, BrokerError) or is_transient(failure):
        return _not_recorded()
    return RuntimeError(f"cannot publish clicks: {failure}")


def _not_recorded() -> UplineError:
    return unavailable(
        "CLICKS_NOT_RECORDED", "the broker is away or did not confirm the clicks; send the same clicks again"
    )


async def publish_batch(stream: Stream, batch: bytes) -> None:
    """Returns when a serialised ClickBatch is on the stream's disk. Raises ConnectionError as soon as the connection is
    gone; the batch may be on disk all the same."""
    publishing = asyncio.ensure_future(stream.publish(Message(CLICKS.subject, str(new_id()), _BATCH_TYPE, batch)))
    try:
        while not (await asyncio.wait([publishing], timeout=CONNECTION_CHECK_SECONDS))[0]:
            if not stream.connected:
                raise ConnectionError("the connection to the broker broke")
        publishing.result()
    finally:
        publishing.cancel()
