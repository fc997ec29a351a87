"""Messages are filled in by the rules of their fields, with values that are known to mean something."""

import random
import uuid
from collections.abc import Mapping
from functools import cache
from time import time, time_ns
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from chassis.sizes import is_map
from cli.bundle.program import Bundle
from tests.fuzz import values
from tests.fuzz.pool import UNBOUND, Pool, meaning
from tests.fuzz.tidying import PLANNED, Tidier
from tests.fuzz.values import rules_of

FRESH = {
    ("ParticipantDraft", "participant_id"), ("ConversionDraft", "conversion_id"), ("ReversalDraft", "reversal_id"),
    ("RequestPayoutRequest", "payout_id"), ("AuthorizeRedemptionRequest", "redemption_id"),
    ("AuthorizeRedemptionRequest", "order_id"), ("RefundRedemptionRequest", "refund_id"),
    ("PurchaseItemRequest", "purchase_id"), ("ExchangeAssetRequest", "exchange_id"), ("GiveAssetRequest", "gift_id"),
    ("CreatePayoutBatchRequest", "batch_id"),
}  # fmt: skip
"""The ids that a caller makes; elsewhere the same ids name what is there."""
FOREIGN = 0.03
"""How often an id is one of another program."""
RICH = 0.6
"""How often somebody is one of those who have earned from the beginning."""
STATES = {
    "ApprovePayoutRequest": "REQUESTED", "RejectPayoutRequest": "REQUESTED", "ReportPayoutRequest": "SENT",
    "RetryPayoutRequest": "FAILED", "CancelPayoutRequest": "FAILED", "CaptureRedemptionRequest": "AUTHORIZED",
    "VoidRedemptionRequest": "AUTHORIZED", "RefundRedemptionRequest": "CAPTURED", "RedeliverDeliveryRequest": "PARKED",
}  # fmt: skip
"""The state in which something is when a request about it is of use."""


class Filler:
    """Fills messages in."""

    def __init__(self, rng: random.Random, pool: Pool, bundles: Mapping[str, Bundle]) -> None:
        self._rng = rng
        self._pool = pool
        self._count = 0
        self._tidier = Tidier(
            rng, pool, bundles, lambda message, field: self._fill_field(message, field, "", wild=False)
        )

    def fill(self, message: Message, program_id: str, *, wild: bool = False) -> None:
        """Fills a message in by its rules. `wild`: by nothing else, so that all is tried that the rules allow."""
        chosen = {one.name: self._rng.choice(one.fields).name for one in message.DESCRIPTOR.oneofs}
        for field in message.DESCRIPTOR.fields:
            one = field.containing_oneof
            if one is not None and chosen[one.name] != field.name:
                continue
            if one is not None and len(one.fields) == 1 and self._rng.random() < 0.6:
                continue  # an optional field
            self._fill_field(message, field, program_id, wild=wild)
        if not wild:
            self._tidier.tidy(message, program_id)

    def _fill_field(self, message: Message, field: FieldDescriptor, program_id: str, *, wild: bool) -> None:
        rng, rules = self._rng, rules_of(field)
        if is_map(field):
            self._fill_map(message, field)
        elif field.is_repeated:
            bounds = rules.own.repeated
            count = bounds.min_items + rng.choice((0, 0, 1, 1, 2, 3))
            if rng.random() < 0.004:
                count = bounds.max_items or count
            elif rng.random() < 0.01:
                count = rng.randint(0, min(bounds.max_items or 50, 60))
            items = getattr(message, field.name)
            if field.message_type is not None:
                for _ in range(count):
                    self.fill(items.add(), program_id, wild=wild)
            else:
                made = [self._scalar(field, rules.own.repeated.items, program_id) for _ in range(count)]
                items.extend(dict.fromkeys(made) if bounds.unique else made)
        elif field.message_type is not None:
            self._fill_message(message, field, program_id, wild=wild)
        else:
            setattr(message, field.name, self._scalar(field, rules.own, program_id))

    def _fill_message(self, message: Message, field: FieldDescriptor, program_id: str, *, wild: bool) -> None:
        rng = self._rng
        if not (rules_of(field).required or field.containing_oneof or rng.random() < 0.5):
            return
        part = getattr(message, field.name)
        part.SetInParent()
        kind = field.message_type.full_name
        if kind == "google.protobuf.Timestamp":
            part.seconds = int(time() - 10 ** rng.uniform(0, 7))
            part.nanos = rng.choice((0, 0, 1, 999_999_999, 123_456_789))
        elif kind == "google.protobuf.Duration":
            part.seconds = rng.choice(
                (1, 2, 3_600, values.SECONDS_A_DAY, 30 * values.SECONDS_A_DAY, 3_660 * values.SECONDS_A_DAY)
            )
        elif kind == "google.protobuf.FieldMask":
            part.paths.extend(rng.sample(values.MASKS, rng.randint(0, 3)))
        else:
            self.fill(part, program_id, wild=wild)

    def _fill_map(self, message: Message, field: FieldDescriptor) -> None:
        rng, rules = self._rng, rules_of(field).own.map
        entries = getattr(message, field.name)
        count = rng.choice((0, 0, 1, 2)) if rng.random() > 0.01 else rules.max_pairs
        long = count > 2 and rng.random() < 0.5
        for number in range(count):
            key = rng.choice(("tier", "region", "имя", "a.b", "k" * 64)) if count < 5 else f"key-{number}"
            entries[key] = "я" * 256 if long else values.text(rules.values.string, rng)

    def _scalar(self, field: FieldDescriptor, rules: Any, program_id: str) -> Any:
        rng = self._rng
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._string(field, rules, program_id)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return rng.random() < 0.3
        if field.type == FieldDescriptor.TYPE_ENUM:
            numbers = [each.number for each in field.enum_type.values if each.number not in rules.enum.not_in]
            return rng.choice(numbers)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._pool.pick(program_id, field.name) or b"" if rng.random() < 0.1 else b""
        if field.name == "page_size":
            return rng.choice((0, 1, 2, 3, 10, 1_000, 5_000))
        return values.integer(field, rules, rng)

    def _string(self, field: FieldDescriptor, rules: Any, program_id: str) -> str:
        rng, of = self._rng, meaning(field)
        if field.name == "page_token":
            return ""
        if field.name == "program_id":
            return program_id if rng.random() > 0.01 else self._rng.choice(self._pool.programs)
        if field.name == "currency_code":
            return self._pool.currencies.get(program_id, "EUR")
        if field.name == "request_id":
            return self._request_id()
        if _is_fresh(field) and rng.random() < 0.85:
            return self._fresh(of)
        if field.name == "participant_id" and rng.random() < RICH and (rich := self._pool.pick(program_id, "rich")):
            return str(rich)
        if (apt := _apt(field)) != of and rng.random() < PLANNED and (found := self._pool.pick(program_id, apt)):
            return str(found)
        if of and rng.random() < 0.93:
            whose = rng.choice(self._pool.programs) if rng.random() < FOREIGN else program_id
            if (found := self._pool.pick(whose, of)) is not None:
                return str(found)
        return values.text(rules.string, rng)

    def _fresh(self, of: str) -> str:
        self._count += 1
        draw = self._rng.random()
        if draw < 0.01:
            return f"{self._count}".ljust(128, "🦉")
        if draw < 0.05:
            return f"{self._rng.choice(('o’neil', 'Ж 7', 'a/b?c=d&e', '{x}', 'sign_up:x', '-'))} {self._count}"
        return f"{of.removesuffix('_id')[:4]}-{self._count}"

    def _request_id(self) -> str:
        draw = self._rng.random()
        if draw < 0.5:
            return uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        if draw < 0.9:
            days_ago = self._rng.choice((0, 0, 0, 1, 399, 500))
            return str(values.uuid7(self._rng, time_ns() // 1_000_000 - days_ago * values.SECONDS_A_DAY * 1_000))
        return f"запрос {self._rng.getrandbits(40)}".ljust(self._rng.choice((1, 128)), "🦉")[:128]


@cache
def wanted(method: MethodDescriptor) -> frozenset[str]:
    """The meanings of what a request of the method names by id and does not make."""
    own = [field for field in method.input_type.fields if field.name.endswith("_id")]
    made = {"", "program_id", "request_id"} | {meaning(field) for field in own if _is_fresh(field)}
    return frozenset(_apt(field) for field in own if meaning(field) not in made)


def _apt(field: FieldDescriptor) -> str:
    """The meaning of a request's field, with the state that makes a call of use."""
    of, request = meaning(field), field.containing_type.name
    if (request, field.name) == ("BindSponsorRequest", "participant_id"):
        return UNBOUND
    state = STATES.get(request)
    return f"{of} {state}" if state and of in {"payout_id", "redemption_id"} else of


def _is_fresh(field: FieldDescriptor) -> bool:
    return (field.containing_type.name, field.name) in FRESH
