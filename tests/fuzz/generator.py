"""Requests of every method, generated from its descriptors: as its rules allow, spoiled, from scratch, and garbled."""

import random
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from time import time, time_ns
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.sizes import is_map
from cli.bundle.program import Bundle
from tests.fuzz import values
from tests.fuzz.pool import UNBOUND, Pool, meaning
from tests.fuzz.values import rules_of

FRESH = {
    ("ParticipantDraft", "participant_id"), ("ConversionDraft", "conversion_id"), ("ReversalDraft", "reversal_id"),
    ("RequestPayoutRequest", "payout_id"), ("AuthorizeRedemptionRequest", "redemption_id"),
    ("AuthorizeRedemptionRequest", "order_id"), ("RefundRedemptionRequest", "refund_id"),
    ("PurchaseItemRequest", "purchase_id"), ("ExchangeAssetRequest", "exchange_id"), ("GiveAssetRequest", "gift_id"),
    ("CreatePayoutBatchRequest", "batch_id"),
}  # fmt: skip
"""The ids that a caller makes; elsewhere the same ids name what is there."""
REMEMBERED_REQUESTS = 40
REMEMBERED_PAGES = 40
CONTINUED = 0.4
"""How often a list is asked for its next page rather than its first."""
REPEATED, REPEATED_OTHERWISE = 0.04, 0.04
"""How often an earlier request is sent again, as it was or with something changed."""
FOREIGN = 0.03
"""How often an id is one of another program."""
FAVOURITE, OLD_PROGRAM = 0.4, 0.5
"""How often a call is about the first program, which has everything, and how often about one of those that were there
at first, where much has happened."""
TRIES = 8
RICH = 0.6
"""How often somebody is one of those who have earned from the beginning."""
PLANNED = 0.75
"""How often something is asked for that the plan offers."""
LONG = 0.004
"""How often an order is as long as few are: so that pages end before they have as many items as were asked for."""
TOO_LONG = 0.01
"""How many of the garbled requests are longer than any may be."""
UNKNOWN_FIELD = b"\xfa\xff\x03"
"""The tag of a text that no contract has."""
STATES = {
    "ApprovePayoutRequest": "REQUESTED", "RejectPayoutRequest": "REQUESTED", "ReportPayoutRequest": "SENT",
    "RetryPayoutRequest": "FAILED", "CancelPayoutRequest": "FAILED", "CaptureRedemptionRequest": "AUTHORIZED",
    "VoidRedemptionRequest": "AUTHORIZED", "RefundRedemptionRequest": "CAPTURED",
}  # fmt: skip
"""The state in which something is when a request about it is of use."""
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Made:
    """A request as it is sent."""

    method: MethodDescriptor
    parts: tuple[bytes, ...]
    """The bytes of its messages: one, but for streams of requests."""
    program_id: str
    """The program it is about, as far as is known."""
    how: str
    """`valid`, `spoiled`, `wild`, `garbled`, `repeated`, …"""
    messages: tuple[Message, ...]
    """The same, read; none where the bytes are no messages."""


class Generator:
    """Makes requests from what is known so far."""

    def __init__(self, rng: random.Random, pool: Pool, bundles: Sequence[Bundle]) -> None:
        self._rng = rng
        self._pool = pool
        self._bundles = {bundle.program.program_id: bundle for bundle in bundles}
        self._programs = list(self._bundles)
        self._count = 0
        self._answered: dict[str, deque[Made]] = defaultdict(lambda: deque(maxlen=REMEMBERED_REQUESTS))
        self._pages: dict[str, deque[tuple[bytes, str]]] = defaultdict(lambda: deque(maxlen=REMEMBERED_PAGES))
        """(request, token of the page after its), by method."""

    def make(self, method: MethodDescriptor, how: str = "", program_id: str = "") -> Made:
        """A request of a method; `how`: in which way, by default in any; `program_id`: of which program, by default of
        one that has what the request needs."""
        rng = self._rng
        if not how and (earlier := self._answered[method.name]):
            draw = rng.random()
            if draw < REPEATED:
                return self._again(rng.choice(earlier))
            if draw < REPEATED + REPEATED_OTHERWISE:
                return self._otherwise(rng.choice(earlier))
        if not how:
            how = rng.choices(("valid", "spoiled", "wild", "garbled"), (72, 20, 6, 2))[0]
        program_id = program_id or self._program_for(method)
        request: Message
        if how == "wild":
            request = GetMessageClass(method.input_type)()
            self._fill(request, program_id, wild=True)
        else:
            request = self._valid(method, program_id)
            if how == "spoiled":
                for _ in range(rng.choice((1, 1, 1, 2, 3))):
                    self._spoil(request)
        if how == "garbled":
            return Made(method, (self._garble(request.SerializeToString()),), program_id, how, ())
        before = (
            self._valid(method, program_id) for _ in range(self._rng.randrange(3) if method.client_streaming else 0)
        )
        return _made(method, (*before, request), program_id, how)

    def can_be(self, method: MethodDescriptor) -> bool:
        """Whether there is anything yet that a call of the method may be about."""
        return all(self._pool.has(each) for each in _wanted(method))

    def remember(self, made: Made, answer: Message) -> None:
        """Takes a call that succeeded into account."""
        if not made.messages:
            return
        for each in made.messages:
            self._pool.harvest(each, made.program_id)
        self._pool.harvest(answer, made.program_id)
        if len(made.parts[0]) < 20_000:
            self._answered[made.method.name].append(made)
        if token := getattr(answer, "next_page_token", ""):
            self._pages[made.method.name].append((made.parts[0], token))

    def _program_for(self, method: MethodDescriptor) -> str:
        """A program that has what a call of the method names, if that is soon found."""
        wanted = _wanted(method)
        for _ in range(TRIES):
            program_id = self._program()
            if all(self._pool.pick(program_id, each) for each in wanted):
                break
        return program_id

    def _program(self) -> str:
        draw = self._rng.random()
        if draw < FAVOURITE:
            return self._programs[0]
        return self._rng.choice(self._programs if draw < FAVOURITE + OLD_PROGRAM else self._pool.programs)

    def _again(self, made: Made) -> Made:
        return Made(made.method, made.parts, made.program_id, "repeated", made.messages)

    def _otherwise(self, made: Made) -> Made:
        request = GetMessageClass(made.method.input_type).FromString(made.parts[-1])
        self._spoil(request)
        return _made(made.method, (request,), made.program_id, "repeated otherwise")

    def _valid(self, method: MethodDescriptor, program_id: str) -> Message:
        request: Message = GetMessageClass(method.input_type)()
        if (pages := self._pages[method.name]) and self._rng.random() < CONTINUED:
            content, token = self._rng.choice(pages)
            request.MergeFromString(content)
            request.page_token = token  # type: ignore[attr-defined]
            return request
        self._fill(request, program_id)
        return request

    # What is filled in

    def _fill(self, message: Message, program_id: str, *, wild: bool = False) -> None:
        """Fills a message in by its rules. `wild`: by nothing else, so that all is tried that the rules allow."""
        chosen = {one.name: self._rng.choice(one.fields).name for one in message.DESCRIPTOR.oneofs}
        for field in message.DESCRIPTOR.fields:
            one = field.containing_oneof
            if one is not None and chosen[one.name] != field.name:
                continue
            if one is not None and len(one.fields) == 1 and self._rng.random() < 0.6:
                continue  # an optional field
            self._fill_field(message, field, program_id, wild=wild)
        if not wild and (tidy := TIDY.get(message.DESCRIPTOR.name)):
            tidy(self, message, program_id)

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
                    self._fill(items.add(), program_id, wild=wild)
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
            part.seconds = rng.choice((1, 2, 3_600, _SECONDS_A_DAY, 30 * _SECONDS_A_DAY, 3_660 * _SECONDS_A_DAY))
        elif kind == "google.protobuf.FieldMask":
            part.paths.extend(rng.sample(MASKS, rng.randint(0, 3)))
        else:
            self._fill(part, program_id, wild=wild)

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
            return str(uuid7(self._rng, time_ns() // 1_000_000 - days_ago * _SECONDS_A_DAY * 1_000))
        return f"запрос {self._rng.getrandbits(40)}".ljust(self._rng.choice((1, 128)), "🦉")[:128]

    # What is spoiled

    def _spoil(self, request: Message) -> None:
        """Changes one field of a request, wherever in it, to what is at a bound, beyond it, or nonsense."""
        places = list(_places(request))
        if not places:
            return
        # Deep messages have most of their fields far down; what names the program or the call stands at the top.
        own = [place for place in places if place[0] is request]
        message, field = self._rng.choice(own if own and self._rng.random() < 0.4 else places)
        if field.containing_oneof is not None and self._rng.random() < 0.2:
            message.ClearField(field.name)
        elif is_map(field):
            self._spoil_map(message, field)
        elif field.is_repeated:
            self._spoil_list(message, field)
        elif field.message_type is not None:
            self._spoil_message(message, field)
        else:
            setattr(message, field.name, self._hostile(field, rules_of(field).own))

    def _hostile(self, field: FieldDescriptor, rules: Any) -> Any:
        rng = self._rng
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._hostile_string(field, rules)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return rng.random() < 0.5
        if field.type == FieldDescriptor.TYPE_ENUM:
            return rng.choice((0, -1, 1, 2, 3, 99, values.INT32_MAX))
        if field.type == FieldDescriptor.TYPE_BYTES:
            some = (b"", b"\0" * 16, b"\xff" * 16, b"x", b"x" * 17, uuid.uuid4().bytes, uuid7(rng, 0).bytes)
            return rng.choice((*some, uuid7(rng, (1 << 48) - 1).bytes))
        most = values.INT64_MAX if field.type == FieldDescriptor.TYPE_INT64 else values.INT32_MAX
        return max(-most - 1, min(rng.choice(values.HOSTILE_INTS), most))

    def _hostile_string(self, field: FieldDescriptor, rules: Any) -> str:
        rng = self._rng
        if field.name == "page_token" and rng.random() < 0.8:
            pages = self._pages[rng.choice(list(self._pages))] if self._pages else ()
            token = rng.choice(pages)[1] if pages else "AAAA"
            place = rng.randrange(len(token))
            return rng.choice((token, token[:place], token[:place] + rng.choice("Aя-=\0") + token[place + 1 :]))
        if rng.random() < 0.3:
            other = self._pool.pick_any()
            if isinstance(other, str):
                return other
        return values.hostile_text(rng, rules.string.max_len)

    def _spoil_list(self, message: Message, field: FieldDescriptor) -> None:
        rng, items, bounds = self._rng, getattr(message, field.name), rules_of(field).own.repeated
        draw = rng.random()
        if draw < 0.3 or not items:
            message.ClearField(field.name)
            if field.message_type is None and rng.random() < 0.5:
                items.append(self._hostile(field, bounds.items))
        elif draw < 0.5 and field.message_type is None:
            items[rng.randrange(len(items))] = self._hostile(field, bounds.items)
        elif draw < 0.9:
            items.append(items[rng.randrange(len(items))])
        elif items[0].ByteSize() < 300 if field.message_type is not None else True:
            items.extend([items[0]] * (max(0, (bounds.max_items or 200) - len(items)) + rng.choice((0, 1))))

    def _spoil_map(self, message: Message, field: FieldDescriptor) -> None:
        rng, bounds = self._rng, rules_of(field).own.map
        entries = getattr(message, field.name)
        if rng.random() < 0.2:
            for number in range((bounds.max_pairs or 50) + rng.choice((0, 1))):
                entries[f"key {number}"] = "x"
        else:
            key = values.hostile_text(rng, bounds.keys.string.max_len)
            entries[key] = values.hostile_text(rng, bounds.values.string.max_len)

    def _spoil_message(self, message: Message, field: FieldDescriptor) -> None:
        rng, part = self._rng, getattr(message, field.name)
        kind = field.message_type.full_name
        if rng.random() < 0.2:
            message.ClearField(field.name)
        elif kind in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
            part.seconds = rng.choice(
                (0, 1, -1, int(time()), int(time()) + 240, int(time()) + 400, int(time()) + 10 * _SECONDS_A_DAY,
                 -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800, values.INT64_MAX,
                 -(2**63), 315_576_000_000, 3_660 * _SECONDS_A_DAY + 1)
            )  # fmt: skip
            part.nanos = rng.choice((0, 0, 0, 1, -1, 999_999_999, 1_000_000_000, values.INT32_MAX, -(2**31)))
        elif kind == "google.protobuf.FieldMask":
            part.paths.append(rng.choice((*MASKS, "", "*", "program_id", "currency_code", "policy.", "a.b.c", "x\0")))
        else:
            part.Clear()
            part.SetInParent()

    def _garble(self, content: bytes) -> bytes:
        rng = self._rng
        if not content:
            return rng.randbytes(rng.randint(1, 40))
        if rng.random() < TOO_LONG:
            return content + UNKNOWN_FIELD + _varint(5_000_000) + bytes(5_000_000)
        place = rng.randrange(len(content))
        return rng.choice(
            (
                content[:place],
                content[:place] + rng.randbytes(1) + content[place + 1 :],
                content[:place] + rng.randbytes(4) + content[place:],
                content + UNKNOWN_FIELD + b"\x02hi",
                content + content,
            )
        )

    # What rules cannot say

    def tidy_draft(self, draft: Any, program_id: str) -> None:
        """A conversion whose lines come to its amount, and who came by at most one way."""
        rng = self._rng
        if rng.random() < 0.8:
            draft.ClearField("lines")
        if rng.random() < LONG:
            attributes = {f"{key:02}": "я" * 256 for key in range(20)}
            draft.ClearField("lines")
            for _ in range(rng.choice((20, 60, 80, 100))):
                draft.lines.add(amount_minor=rng.randrange(1_000), attributes=attributes)
        for number, line in enumerate(draft.lines):
            line.line_id = f"line-{number}"
        if draft.lines or rng.random() < 0.9:
            whole = sum(each.amount_minor for each in draft.lines) or round(10 ** rng.uniform(2, 7))
            draft.amount.amount_minor = whole if rng.random() > 0.005 else values.MAX_AMOUNT_MINOR
            draft.amount.currency_code = self._pool.currencies.get(program_id, "EUR")
        self._tidy_touch(draft)

    def tidy_participant(self, draft: Any, _program_id: str) -> None:
        """Somebody with at most one sponsor."""
        if self._rng.random() < 0.5:
            draft.ClearField("sponsor_id")
        self._tidy_touch(draft)

    def _tidy_touch(self, draft: Any) -> None:
        for name in ("click_token", "code", "visitor_id"):
            if self._rng.random() < 0.7:
                draft.ClearField(name)

    def tidy_reversal(self, draft: Any, program_id: str) -> None:
        """A refund in the program's currency, mostly of less than there is."""
        if draft.WhichOneof("extent") == "amount":
            draft.amount.amount_minor = round(10 ** self._rng.uniform(0, 4))
            draft.amount.currency_code = self._pool.currencies.get(program_id, "EUR")
        for line in draft.lines.lines:
            line.line_id = f"line-{self._rng.randrange(4)}"
        unique = {line.line_id: line for line in draft.lines.lines}
        if len(unique) < len(draft.lines.lines):
            del draft.lines.lines[1:]

    def tidy_batch(self, request: Any, _program_id: str) -> None:
        """People who are all different, in a batch that is mostly small."""
        seen = {each.participant_id: each for each in request.participants}
        if len(seen) < len(request.participants):
            del request.participants[1:]

    def tidy_authorization(self, request: Any, program_id: str) -> None:
        """A large order in the program's currency, paid with what pays for orders."""
        if offers := [each for each in self._offers(program_id, "assets") if each.HasField("spending")]:
            request.asset = self._rng.choice(offers).code
            request.amount_minor = round(10 ** self._rng.uniform(0, 4))
        request.order_amount.currency_code = self._pool.currencies.get(program_id, "EUR")
        request.order_amount.amount_minor = round(10 ** self._rng.uniform(3, 8))

    def tidy_how_much(self, request: Any, _program_id: str) -> None:
        """All of it, or an amount."""
        if request.whole:
            request.amount_minor = 0
        else:
            request.amount_minor = max(1, request.amount_minor // 1_000)

    def tidy_program(self, program: Any, _program_id: str) -> None:
        """A program like one there is, under a new name."""
        bundle = self._bundles[self._rng.choice(self._programs)]
        program.CopyFrom(bundle.program)
        if self._rng.random() < 0.5:
            self._fill_field(program, program.DESCRIPTOR.fields_by_name["policy"], "", wild=False)
            program.policy.default_sponsor_id = ""
            program.policy.credit_before_binding = 0
        self._count += 1
        program.program_id = f"made-{self._count}"
        program.title = self._rng.choice(("A title", "Название", ""))

    def tidy_update(self, request: Any, program_id: str) -> None:
        """A change of a program that is there."""
        rng = self._rng
        request.program.program_id = program_id
        request.program.currency_code = self._pool.currencies.get(program_id, "EUR")
        if program_id in self._bundles:
            # Attribution and hosts stay, or nothing in it would lead to anybody any more.
            request.program.policy.CopyFrom(self._bundles[program_id].program.policy)
            request.program.allowed_hosts[:] = self._bundles[program_id].program.allowed_hosts
        request.allow_missing = rng.random() < 0.05

    def tidy_plan(self, request: Any, program_id: str) -> None:
        """A plan of a program there is, mostly with a number changed."""
        bundle = self._bundles.get(program_id) or self._bundles[self._rng.choice(self._programs)]
        request.plan.CopyFrom(bundle.plan)
        request.currency_code = self._pool.currencies.get(program_id, bundle.program.currency_code)
        if self._rng.random() < 0.5 and request.plan.rules:
            rule = self._rng.choice(request.plan.rules)
            if self._rng.random() < 0.5:
                rule.when = self._rng.choice(CONDITIONS)
            else:
                rule.hold.duration.seconds = self._rng.choice((1, 30)) * _SECONDS_A_DAY
        if request.DESCRIPTOR.name == "PublishPlanRequest":
            request.ClearField("effective_time")

    def tidy_texts(self, request: Any, program_id: str) -> None:
        """The texts of a program there is, mostly with one word changed."""
        bundle = self._bundles.get(program_id) or self._bundles[self._rng.choice(self._programs)]
        if bundle.texts is not None and self._rng.random() < 0.9:
            request.texts.CopyFrom(bundle.texts)
        else:
            request.texts.ClearField("locales")
        request.texts.program_title = self._rng.choice(("Title", "Название", "{{ amount }}"))

    def tidy_link(self, request: Any, program_id: str) -> None:
        """A link to a host that the program allows."""
        bundle = self._bundles.get(program_id)
        host = (
            self._rng.choice(bundle.program.allowed_hosts) if bundle and bundle.program.allowed_hosts else "x.example"
        )
        path = self._rng.choice(("", "/", "/a?b=c&utm_source=x#d", "/%D0%B9", "/й", "?q=🦉"))
        request.destination_url = f"https://{host.replace('*', 'www')}{path}"
        request.share_percent = self._rng.choice(("", "0", "10", "33.333333", "100"))

    def tidy_click(self, click: Any, program_id: str) -> None:
        """A click on a link of the program, just now."""
        rng = self._rng
        click.ClearField("occurred_at")
        now_ms = time_ns() // 1_000_000
        click.click_id = b"" if rng.random() < 0.3 else uuid7(rng, now_ms - rng.randrange(1_000)).bytes
        click.program_id = program_id
        click.ip_address = rng.choice(("", "192.0.2.1", "2001:db8::1", "not an address"))
        click.kind = rng.choice((0, 0, 0, 1, 2))

    def tidy_report(self, request: Any, _program_id: str) -> None:
        """An answer about the first attempt, mostly."""
        request.paid = False
        request.attempt = self._rng.choice((1, 1, 1, 2, 3))
        request.outcome = self._rng.choice((1, 2, 2, 3))

    def tidy_period(self, request: Any, _program_id: str) -> None:
        """A period that ends after it begins."""
        request.end_time.seconds = int(time()) + 60
        request.start_time.seconds = int(time() - 10 ** self._rng.uniform(0, 7))

    def tidy_payout(self, request: Any, program_id: str) -> None:
        """A payout that the plan offers, of an amount that somebody may have."""
        request.amount_minor = round(10 ** self._rng.uniform(1, 5))
        if offers := self._offers(program_id, "payouts"):
            terms = self._rng.choice(offers)
            request.asset, request.method = terms.asset, self._rng.choice(terms.methods).method
            request.amount_minor += terms.min_amount_minor

    def tidy_exchange(self, request: Any, program_id: str) -> None:
        """An exchange that the plan offers."""
        request.amount_minor = round(10 ** self._rng.uniform(1, 4))
        if offers := [each for each in self._offers(program_id, "assets") if each.exchanges]:
            asset = self._rng.choice(offers)
            request.asset, request.into = asset.code, self._rng.choice(asset.exchanges).into

    def tidy_gift(self, request: Any, program_id: str) -> None:
        """Something that may be passed on."""
        request.amount_minor = round(10 ** self._rng.uniform(0, 4))
        if offers := [each for each in self._offers(program_id, "assets") if each.transferable]:
            request.asset = self._rng.choice(offers).code

    def tidy_share(self, request: Any, _program_id: str) -> None:
        """A share of a link, of a code, or by word of mouth."""
        for name in self._rng.choice((("link_id",), ("code",), ("link_id", "code"))):
            request.ClearField(name)

    def _offers(self, program_id: str, of: str) -> Sequence[Any]:
        """Things that the plan of a program has; mostly, for others are asked for, too."""
        bundle = self._bundles.get(program_id)
        return getattr(bundle.plan, of) if bundle is not None and self._rng.random() < PLANNED else ()

    def tidy_code(self, request: Any, _program_id: str) -> None:
        """A code of one's own, or one that is generated."""
        request.share_percent = self._rng.choice(("", "0", "10", "33.333333", "100"))
        self._count += 1
        request.code = self._rng.choice(("", f"Code-{self._count}"))


Tidy = Callable[[Generator, Any, str], None]
TIDY: dict[str, Tidy] = {
    "ConversionDraft": Generator.tidy_draft,
    "ParticipantDraft": Generator.tidy_participant,
    "ReversalDraft": Generator.tidy_reversal,
    "EnrollParticipantsRequest": Generator.tidy_batch,
    "AuthorizeRedemptionRequest": Generator.tidy_authorization,
    "CaptureRedemptionRequest": Generator.tidy_how_much,
    "RefundRedemptionRequest": Generator.tidy_how_much,
    "Program": Generator.tidy_program,
    "UpdateProgramRequest": Generator.tidy_update,
    "PublishPlanRequest": Generator.tidy_plan,
    "ValidatePlanRequest": Generator.tidy_plan,
    "PublishTextsRequest": Generator.tidy_texts,
    "CreateLinkRequest": Generator.tidy_link,
    "CreateCodeRequest": Generator.tidy_code,
    "Click": Generator.tidy_click,
    "ReportPayoutRequest": Generator.tidy_report,
    "RequestPayoutRequest": Generator.tidy_payout,
    "ExchangeAssetRequest": Generator.tidy_exchange,
    "GiveAssetRequest": Generator.tidy_gift,
    "RecordShareRequest": Generator.tidy_share,
    "GetSettlementReportRequest": Generator.tidy_period,
}
"""The functions that make a message not only keep to its rules but mean something, by its name."""
MASKS = (
    "title", "policy", "policy.touch", "policy.window", "policy.enroll_buyers", "allowed_hosts", "visitor_cookie",
)  # fmt: skip
CONDITIONS = (
    "", "true", "event.amount_minor > 100", "size(lines) == 0", 'buyer.attributes["tier"] == "gold"',
    "lines.exists(x, x.amount_minor > 5)", "event.amount > 0", "level == 'one'",
)  # fmt: skip
"""Some of them name what there is, and some do not."""


def _made(method: MethodDescriptor, messages: tuple[Message, ...], program_id: str, how: str) -> Made:
    return Made(method, tuple(each.SerializeToString() for each in messages), program_id, how, messages)


def _varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    content = b""
    while number > 127:
        content, number = content + bytes([number & 127 | 128]), number >> 7
    return content + bytes([number])


@cache
def _wanted(method: MethodDescriptor) -> frozenset[str]:
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


def uuid7(rng: random.Random, unix_ms: int) -> uuid.UUID:
    """An id of a time."""
    high = (unix_ms & ((1 << 48) - 1)) << 16 | 0x7000 | rng.getrandbits(12)
    return uuid.UUID(int=high << 64 | 0x8000_0000_0000_0000 | rng.getrandbits(62))


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field of a message and of the messages in it, set or not."""
    descriptor: Descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        yield message, field
        if field.message_type is None or is_map(field) or field.message_type.file.package == "google.protobuf":
            continue
        if field.is_repeated:
            for each in getattr(message, field.name)[:5]:
                yield from _places(each)
        elif message.HasField(field.name):
            yield from _places(getattr(message, field.name))
