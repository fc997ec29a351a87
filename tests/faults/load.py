"""Seeded load: clicks, orders and refunds, each sent until it is acknowledged, and often more than once.

What was acknowledged is remembered, so that the end can be computed from it. A stack that is killed all the time
answers nothing for seconds: callers wait and send the same again, as the contracts tell them to.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from upline.attribution.v1 import click_pb2, click_pb2_grpc, conversion_pb2, conversion_pb2_grpc
from upline.type.v1 import money_pb2

from chassis.times import to_timestamp

CALL_SECONDS = 8.0
SINGLE_CLICKERS = 3
SELLERS = 2
MAX_CLICKS_A_CALL = 200
MAX_RETRY_PAUSE_SECONDS = 0.5
REPEAT = 0.05
"""How often an acknowledged call is made again, as after a lost answer."""
TWICE_AT_ONCE = 0.05
GIVE_UP = 0.2
"""How often a visitor goes away instead of clicking again: the click may or may not be there."""
EARLY_REFUND = 0.2
NEWCOMER = 0.05
TOKENS_KEPT = 100
_TRY_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]


@dataclass(frozen=True)
class Rate:
    """How much is done."""

    max_orders_a_call: int = 40
    max_refunds_a_call: int = 20
    max_pause_seconds: float = 0.2


RATE = Rate()


@dataclass(slots=True)
class Order:
    """An order and what became of it."""

    conversion_id: str
    buyer: str
    amount_minor: int
    occurred_at: datetime
    upline: tuple[str, ...]
    """Level 1 first."""
    click_token: str = ""
    """Brings a buyer who was not enrolled before; else empty."""
    refunds: int = 0
    reversed_minor: int = 0

    @property
    def left_minor(self) -> int:
        """The part that is not taken back."""
        return self.amount_minor - self.reversed_minor

    def draft(self) -> conversion_pb2.ConversionDraft:
        """The order as it is sent."""
        return conversion_pb2.ConversionDraft(
            conversion_id=self.conversion_id,
            event_type="order",
            buyer_id=self.buyer,
            amount=money_pb2.Money(currency_code="USD", amount_minor=self.amount_minor),
            click_token=self.click_token,
            occurred_at=to_timestamp(self.occurred_at),
        )


@dataclass
class Facts:
    """The facts that the load knows to be true."""

    sponsors: dict[str, str]
    """The sponsor of everybody enrolled; empty for roots."""
    orders: dict[str, Order] = field(default_factory=dict)
    reversals: set[str] = field(default_factory=set)
    clicks: set[bytes] = field(default_factory=set)
    clicks_tried: set[bytes] = field(default_factory=set)
    """All clicks that were sent, acknowledged or not."""
    visits: int = 0
    """The number of visits to links that were tried: each is one click at most, of an id that nobody is told."""
    led_on: int = 0
    """The number of visitors who were led on with a token."""
    calls: Counter[str] = field(default_factory=Counter)
    """The number of calls by method and outcome."""

    def upline(self, person: str) -> tuple[str, ...]:
        """Everybody above somebody, level 1 first."""
        found = []
        while person := self.sponsors[person]:
            found.append(person)
        return tuple(found)


class Load:
    """The callers of one program."""

    def __init__(
        self, target: str, program_id: str, facts: Facts, links: dict[str, str], seed: int, rate: Rate = RATE
    ) -> None:
        self._facts = facts
        self._rate = rate
        self._program_id = program_id
        self._links = links
        """Link id by owner."""
        self._rng = random.Random(seed)
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL)
        self._clicks = click_pb2_grpc.ClickServiceStub(self._channel)
        self._conversions = conversion_pb2_grpc.ConversionServiceStub(self._channel)
        self._order_count = 0
        self._tokens: list[tuple[str, str]] = []
        """(owner of the link, click token), not used yet."""
        self._refundable: list[Order] = []
        self._to_come: list[Order] = []
        """Taken back already, not recorded yet."""
        self._ending = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to call."""
        callers = [*[self._click_once] * SINGLE_CLICKERS, self._click_many, *[self._sell] * SELLERS, self._refund]
        self._callers = [asyncio.create_task(self._repeat(each)) for each in callers]

    async def finish(self, seconds: float) -> None:
        """Stops; returns when every call that was begun is acknowledged, and every order that was taken back is
        there."""
        self._ending.set()
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._callers)
            while self._to_come:
                await self._sell()
        await self._channel.close()

    def take(self, owner: str, token: str) -> None:
        """Keeps the token of a visitor for an order."""
        if len(self._tokens) < TOKENS_KEPT:
            self._tokens.append((owner, token))

    def check_alive(self) -> None:
        """Raises what made a caller give up."""
        for each in self._callers:
            if each.done():
                each.result()

    async def _repeat(self, call: Callable[[], Awaitable[None]]) -> None:
        while not self._ending.is_set():
            await call()
            await asyncio.sleep(self._rng.uniform(0, self._rate.max_pause_seconds))

    async def _click_once(self) -> None:
        owner, click = self._click()
        answer = await self._acknowledged(self._clicks.RecordClick, click_pb2.RecordClickRequest(click=click), GIVE_UP)
        if answer is None:
            return
        assert answer.click_id == click.click_id
        self._facts.clicks.add(click.click_id)
        self.take(owner, answer.click_token)

    async def _click_many(self) -> None:
        clicks = [self._click()[1] for _ in range(self._rng.randint(1, MAX_CLICKS_A_CALL))]
        answer = await self._acknowledged(
            self._clicks.RecordClicks, click_pb2.RecordClicksRequest(clicks=clicks), GIVE_UP
        )
        if answer is not None:
            self._facts.clicks |= {each.click_id for each in clicks}

    def _click(self) -> tuple[str, click_pb2.Click]:
        owner = self._rng.choice(list(self._links))
        high = time.time_ns() // 1_000_000 << 16 | 0x7000 | self._rng.getrandbits(12)
        click_id = (high << 64 | 0x8000_0000_0000_0000 | self._rng.getrandbits(62)).to_bytes(16, "big")
        self._facts.clicks_tried.add(click_id)
        return owner, click_pb2.Click(
            click_id=click_id,
            program_id=self._program_id,
            link_id=self._links[owner],
            visitor_id=f"visitor-{self._rng.getrandbits(16)}",
        )

    async def _sell(self) -> None:
        orders, self._to_come = self._to_come, []
        orders += [self._order() for _ in range(self._rng.randint(1, self._rate.max_orders_a_call))]
        newcomers: dict[str, str] = {}
        while self._tokens and self._rng.random() < NEWCOMER * len(orders):
            order = self._newcomers_order()
            newcomers[order.buyer] = order.upline[0]
            orders.append(order)
        await self._acknowledged(
            self._conversions.RecordConversions,
            conversion_pb2.RecordConversionsRequest(
                program_id=self._program_id, conversions=[each.draft() for each in orders]
            ),
        )
        self._facts.orders |= {each.conversion_id: each for each in orders}
        self._facts.sponsors |= newcomers  # from now on they can buy again
        self._refundable += [each for each in orders if each.left_minor]

    def _order(self) -> Order:
        buyer = self._rng.choice(list(self._facts.sponsors))
        return self._new_order(buyer, self._facts.upline(buyer), "")

    def _newcomers_order(self) -> Order:
        owner, token = self._tokens.pop(self._rng.randrange(len(self._tokens)))
        return self._new_order(f"newcomer-{self._order_count}", (owner, *self._facts.upline(owner)), token)

    def _new_order(self, buyer: str, upline: tuple[str, ...], token: str) -> Order:
        self._order_count += 1
        amount_minor = self._rng.choice((0, 1, 19, 99, *(self._rng.randint(100, 1_000_000) for _ in range(10))))
        return Order(f"order-{self._order_count}", buyer, amount_minor, datetime.now(UTC), upline, token)

    async def _refund(self) -> None:
        count = min(len(self._refundable), self._rng.randint(1, self._rate.max_refunds_a_call))
        orders = [self._refundable.pop(self._rng.randrange(len(self._refundable))) for _ in range(count)]
        early = [self._order()] if self._rng.random() < EARLY_REFUND else []
        early = [each for each in early if each.amount_minor]
        if not (orders or early):
            return
        drafts = [self._reversal(each) for each in orders + early]
        await self._acknowledged(
            self._conversions.ReverseConversions,
            conversion_pb2.ReverseConversionsRequest(program_id=self._program_id, reversals=drafts),
        )
        self._facts.reversals |= {each.reversal_id for each in drafts}
        self._refundable += [each for each in orders if each.left_minor]
        self._to_come += early

    def _reversal(self, order: Order) -> conversion_pb2.ReversalDraft:
        """The next reversal of an order, which counts as taken back from here on."""
        order.refunds += 1
        draft = conversion_pb2.ReversalDraft(
            reversal_id=f"{order.conversion_id}/{order.refunds}", conversion_id=order.conversion_id
        )
        if self._rng.random() < 0.5:
            order.reversed_minor = order.amount_minor
            draft.whole.SetInParent()
        else:
            part_minor = self._rng.randint(1, order.left_minor)
            order.reversed_minor += part_minor
            draft.amount.CopyFrom(money_pb2.Money(currency_code="USD", amount_minor=part_minor))
        return draft

    async def _acknowledged(self, method: Any, request: Any, give_up: float = 0.0) -> Any:
        """The answer of a call that is made until it succeeds; None if the caller went away instead."""
        if self._rng.random() < TWICE_AT_ONCE:
            answer, _ = await asyncio.gather(
                self._until_answered(method, request), self._until_answered(method, request)
            )
            return answer
        answer = await self._until_answered(method, request, give_up)
        if answer is not None and self._rng.random() < REPEAT:
            await self._until_answered(method, request)
        return answer

    async def _until_answered(self, method: Any, request: Any, give_up: float = 0.0) -> Any:
        name = type(request).__name__.removesuffix("Request")
        while True:
            try:
                answer = await method(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                self._facts.calls[f"{name} {error.code().name}"] += 1
                if error.code() not in _TRY_AGAIN:
                    raise
                if self._rng.random() < give_up:
                    return None
                await asyncio.sleep(self._rng.uniform(0, MAX_RETRY_PAUSE_SECONDS))
            else:
                self._facts.calls[f"{name} OK"] += 1
                return answer
