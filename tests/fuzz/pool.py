"""The values that calls build on: what requests named and answers told, by meaning and program."""

import random
from collections import defaultdict
from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_VALUES = 300
"""The most values of one meaning in one program: enough for pages, and few enough to meet one another again."""
RECENT = 12
UNBOUND = "participant without sponsor"
MAX_CHARS = 200
"""Longer values are of no use to other calls."""

_PERSON = "participant_id"
_SAME = {
    "sponsor_id": _PERSON,
    "buyer_id": _PERSON,
    "beneficiary_id": _PERSON,
    "recipient_id": _PERSON,
    "referrer_id": _PERSON,
    "default_sponsor_id": _PERSON,
    "owner_id": _PERSON,
    "after_entry_id": "entry_id",
    "up_to_entry_id": "entry_id",
    "into": "asset",
    "on": "event_type",
    "until_event": "event_type",
    "allowed_hosts": "host",
}
"""The meaning of fields whose name says a part in it rather than what it is."""
_OF_MESSAGE = {("Asset", "code"): "asset", ("PayoutMethod", "method"): "method"}
MEANINGS = frozenset(
    {
        _PERSON, "asset", "batch_id", "channel", "click_id", "click_token", "code", "contest_id", "conversion_id",
        "counter", "delivery_id", "entry_id", "event_type", "exchange_id", "gift_id", "host", "line_id", "link_id",
        "method",
        "order_id", "payout_id", "program_id", "purchase_id", "redemption_id", "refund_id", "request_id",
        "reversal_id", "reward_id", "sku", "transfer_id", "version", "visitor_id",
        "webhook_id",
    }
)  # fmt: skip
"""The meanings whose values are remembered."""


def meaning(field: FieldDescriptor) -> str:
    """The meaning of a field's values; empty where they mean nothing to another call."""
    found = _OF_MESSAGE.get((field.containing_type.name, field.name)) or _SAME.get(field.name, field.name)
    return found if found in MEANINGS else ""


class Pool:
    """Remembers values, and picks them: new ones more often, so that what has just been made is used."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._values: dict[tuple[str, str], list[object]] = defaultdict(list)
        self._known: dict[tuple[str, str], set[object]] = defaultdict(set)
        self._meanings: set[str] = set()
        self.programs: list[str] = []
        """Every program there is."""
        self.currencies: dict[str, str] = {}
        """The currency of each."""

    def add(self, program_id: str, of: str, value: object) -> None:
        """Remembers a value of a program; the oldest are forgotten."""
        if not value or (isinstance(value, str | bytes) and len(value) > MAX_CHARS):
            return
        values, known = self._values[program_id, of], self._known[program_id, of]
        if value in known:
            return
        known.add(value)
        self._meanings.add(of)
        values.append(value)
        if len(values) > MAX_VALUES:
            known.discard(values.pop(self._rng.randrange(MAX_VALUES // 2)))

    def add_program(self, program_id: str, currency: str) -> None:
        """Remembers a program."""
        if program_id not in self.currencies:
            self.programs.append(program_id)
        self.currencies[program_id] = currency

    def pick(self, program_id: str, of: str) -> object | None:
        """A value of a program, None where it has none."""
        values = self._values.get((program_id, of))
        if not values:
            return None
        if self._rng.random() < 0.5:
            return values[-1 - self._rng.randrange(min(RECENT, len(values)))]
        return self._rng.choice(values)

    def has(self, of: str) -> bool:
        """Whether any program has a value."""
        return of in self._meanings

    def pick_any(self) -> object:
        """A value of any meaning of any program."""
        values = self._rng.choice(list(self._values.values()))
        return self._rng.choice(values) if values else ""

    def harvest(self, message: Message, program_id: str) -> None:
        """Remembers what a message holds, as values of `program_id` where it does not name its program itself."""
        fields = {field.name: value for field, value in message.ListFields()}
        own = str(fields.get("program_id") or program_id)
        if message.DESCRIPTOR.name == "Program" and own and fields.get("currency_code"):
            self.add_program(own, str(fields["currency_code"]))
        if message.DESCRIPTOR.name == "Participant" and "binding" not in fields:
            self.add(own, UNBOUND, fields.get(_PERSON))
        state = message.DESCRIPTOR.fields_by_name.get("state")
        for field, value in message.ListFields():
            if field.message_type is None:
                of = meaning(field)
                for each in _each(field, value) if of else ():
                    self.add(own, of, each)
                    if state is not None and state.enum_type is not None:
                        name = state.enum_type.values_by_number[getattr(message, "state")].name  # noqa: B009
                        self.add(own, f"{of} {name.rpartition('_')[2]}", each)
            elif field.message_type.GetOptions().map_entry or field.message_type.file.package == "google.protobuf":
                continue
            else:
                for each in _each(field, value):
                    self.harvest(each, own)


def _each(field: FieldDescriptor, value: object) -> Iterator[object]:
    """The values of a field, of which a repeated one has several."""
    if field.is_repeated:
        yield from value  # type: ignore[misc]
    else:
        yield value
