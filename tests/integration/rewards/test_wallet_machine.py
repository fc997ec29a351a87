"""Any course of earning, refunds, redemptions and payouts leaves what a model in plain integers says, over gRPC and
PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.rewards.commands.spending import repay_debts
from tests.errors import reason_of
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_FAILED, SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.wallet_model import MUG, POINTS, USD, Model, Wallet
from tests.running import DEADLINE_SECONDS

PEOPLE = ("maria", "olga", "vera")
SAYINGS = {"paid": SAID_PAID, "failed": SAID_FAILED, "bounced": SAID_BOUNCED}
COURSES = 20
STEPS = 40

Answer = TypeVar("Answer")
people = st.sampled_from(PEOPLE)
assets = st.sampled_from((POINTS, USD))
amounts = st.one_of(st.integers(1, 1_200), st.sampled_from((500, 501, 1_000)))


async def reason(call: Awaitable[object]) -> str:
    """Why a call was refused; empty if it was not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


def machine(ledger: Ledger, published: Published, loop: asyncio.AbstractEventLoop) -> type[RuleBasedStateMachine]:
    """The machine; its steps run on the loop of the service."""

    def run(work: Awaitable[Answer]) -> Answer:
        async def whole() -> Answer:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), loop).result(DEADLINE_SECONDS)

    class Replay(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.program = run(published(payout_plan(approval=True)))
            self.model = Model({each: Wallet() for each in PEOPLE})
            self.clients = {each: Treasury(ledger, self.program, each) for each in PEOPLE}
            self.anyone = self.clients["maria"]
            self.number = 0

        def name(self) -> str:
            self.number += 1
            return f"n{self.number}"

        def same(self, expected: str, call: Callable[[], Awaitable[object]]) -> None:
            """The call is refused for that reason, or not at all; and the same again changes nothing."""
            assert run(reason(call())) == expected

        @rule(buyer=people, sponsor=people, cents=st.integers(1, 20_000))
        def order(self, buyer: str, sponsor: str, cents: int) -> None:
            name = self.name()
            event = message(recorded(self.program, name, cents, buyer=buyer, upline=(sponsor,)))
            run(ledger.settle(event))
            run(ledger.settle(event))
            self.model.order(name, buyer, sponsor, cents)

        @precondition(lambda self: any(left for _, _, left in self.model.orders.values()))
        @rule(data=st.data())
        def take_back(self, data: st.DataObject) -> None:
            name = data.draw(st.sampled_from([name for name, (_, _, left) in self.model.orders.items() if left]))
            left = self.model.orders[name][2]
            cents = data.draw(st.one_of(st.just(left), st.integers(1, left)))
            event = reversed_(
                self.program, name, self.name(), cents, completes=cents == left, minutes_later=self.number
            )
            run(ledger.settle(message(event)))
            run(ledger.settle(message(event)))
            self.model.take_back(name, cents)

        @rule(owner=people, asset=assets, amount=amounts)
        def authorize(self, owner: str, asset: str, amount: int) -> None:
            name = self.name()
            expected = self.model.authorize(name, owner, asset, amount)
            client = self.clients[owner]
            self.same(expected, lambda: client.authorize(name, amount, asset=asset, order_id=name))
            if not expected:
                self.same("", lambda: client.authorize(name, amount, asset=asset, order_id=name))
                self.same("REDEMPTION_EXISTS", lambda: client.authorize(name, amount + 1, asset=asset, order_id=name))

        @precondition(lambda self: self.model.redemptions)
        @rule(data=st.data(), amount=st.one_of(st.none(), amounts))
        def capture(self, data: st.DataObject, amount: int | None) -> None:
            name = data.draw(st.sampled_from(sorted(self.model.redemptions)))
            self.same(self.model.capture(name, amount), lambda: self.anyone.capture(name, amount))

        @precondition(lambda self: self.model.redemptions)
        @rule(data=st.data())
        def void(self, data: st.DataObject) -> None:
            name = data.draw(st.sampled_from(sorted(self.model.redemptions)))
            self.same(self.model.void(name), lambda: self.anyone.void(name))

        @precondition(lambda self: self.model.redemptions)
        @rule(data=st.data(), amount=st.one_of(st.none(), amounts))
        def refund(self, data: st.DataObject, amount: int | None) -> None:
            name, refund_id = data.draw(st.sampled_from(sorted(self.model.redemptions))), self.name()
            expected = self.model.refund(name, amount)
            self.same(expected, lambda: self.anyone.refund(name, refund_id, amount))
            if not expected:
                self.same("", lambda: self.anyone.refund(name, refund_id, amount))

        @rule(owner=people, recipient=people, amount=amounts)
        def give(self, owner: str, recipient: str, amount: int) -> None:
            if owner == recipient:
                return
            name = self.name()
            expected = self.model.spend(owner, POINTS, amount)
            self.same(expected, lambda: self.clients[owner].give(name, recipient, amount))
            if not expected:
                self.same("", lambda: self.clients[owner].give(name, recipient, amount))
                self.model.wallets[recipient].put(POINTS, amount)

        @rule(owner=people, amount=amounts)
        def exchange(self, owner: str, amount: int) -> None:
            name = self.name()
            taken = amount * 3 // 10  # 0.003 dollars a point
            expected = self.model.spend(owner, POINTS, amount) if taken else "ROUNDS_TO_ZERO"
            self.same(expected, lambda: self.clients[owner].exchange(name, amount))
            if not expected:
                self.model.wallets[owner].put(USD, taken)

        @rule(owner=people, quantity=st.integers(1, 3))
        def purchase(self, owner: str, quantity: int) -> None:
            name = self.name()
            self.same(
                self.model.spend(owner, POINTS, MUG * quantity),
                lambda: self.clients[owner].purchase(name, "mug", quantity),
            )

        @rule(owner=people, amount=amounts)
        def ask(self, owner: str, amount: int) -> None:
            name = self.name()
            expected = self.model.ask(name, owner, amount)
            self.same(expected, lambda: self.clients[owner].ask(name, amount))
            if not expected:
                self.same("", lambda: self.clients[owner].ask(name, amount))

        @precondition(lambda self: self.model.payouts)
        @rule(data=st.data(), verb=st.sampled_from(("approve", "approve", "reject", "retry", "cancel")))
        def decide(self, data: st.DataObject, verb: str) -> None:
            name = data.draw(st.sampled_from(sorted(self.model.payouts)))
            fields: dict[str, Any] = {"reason": "no"} if verb == "reject" else {}
            self.same(getattr(self.model, verb)(name), lambda: self.anyone.act(verb.title(), name, **fields))

        @rule()
        def batch(self) -> None:
            name = self.name()
            handed = self.model.batch()
            for _ in range(2):
                assert sorted(each.payout_id for each in run(self.anyone.batch(name)).payouts) == handed

        @precondition(lambda self: self.model.payouts)
        @rule(data=st.data(), said=st.sampled_from(sorted(SAYINGS)))
        def report(self, data: st.DataObject, said: str) -> None:
            name = data.draw(st.sampled_from(sorted(self.model.payouts)))
            attempt = max(self.model.payouts[name].attempts, 1)
            self.same(
                self.model.report(name, said),
                lambda: self.anyone.act("Report", name, outcome=SAYINGS[said], attempt=attempt),
            )

        @invariant()
        def wallets_agree(self) -> None:
            if not hasattr(self, "program"):
                return
            while run(repay_debts(ledger.rewards.service.deps)):
                pass
            for person, client in self.clients.items():
                for asset in (POINTS, USD):
                    assert run(client.balance(asset)) == self.model.wallets[person].balance(asset), (person, asset)

        def teardown(self) -> None:
            if hasattr(self, "program"):
                run(self.anyone.assert_clean())

    return Replay


async def test_any_course_leaves_what_the_model_says(ledger: Ledger, published: Published) -> None:
    steps = settings(
        max_examples=COURSES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    course = machine(ledger, published, asyncio.get_running_loop())
    await asyncio.to_thread(run_state_machine_as_test, course, settings=steps)
