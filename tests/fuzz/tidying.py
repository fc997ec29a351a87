"""Messages are tidied up: they keep to the rules of the contracts, and then mean something as well."""

import random
from collections.abc import Callable, Mapping, Sequence
from time import time, time_ns
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cli.bundle.program import Bundle
from tests.fuzz import values
from tests.fuzz.pool import Pool

LONG = 0.004
"""How often an order is as long as few are: so that pages end before they have as many items as were asked for."""
PLANNED = 0.75
"""How often something is asked for that the plan offers."""
CONTACT_MASKS = ("display_name", "email", "email_verify_time", "time_zone", "locale")
CONDITIONS = (
    "", "true", "event.amount_minor > 100", "size(lines) == 0", 'buyer.attributes["tier"] == "gold"',
    "lines.exists(x, x.amount_minor > 5)", "event.amount > 0", "level == 'one'",
)  # fmt: skip
"""Some of them name what there is, and some do not."""


class Tidier:
    """Tidies messages up after they were filled in."""

    def __init__(
        self,
        rng: random.Random,
        pool: Pool,
        bundles: Mapping[str, Bundle],
        fill: Callable[[Message, FieldDescriptor], None],
    ) -> None:
        self._rng = rng
        self._pool = pool
        self._bundles = bundles
        self._programs = list(bundles)
        self._fill = fill
        """Fills a field in by its rules."""
        self._count = 0

    def tidy(self, message: Message, program_id: str) -> None:
        """Tidies a message of a program up, if it is one of those that need it."""
        if tidy := _TIDY.get(message.DESCRIPTOR.name):
            tidy(self, message, program_id)

    def _draft(self, draft: Any, program_id: str) -> None:
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

    def _participant(self, draft: Any, _program_id: str) -> None:
        """Somebody with at most one sponsor."""
        if self._rng.random() < 0.5:
            draft.ClearField("sponsor_id")
        self._tidy_touch(draft)

    def _tidy_touch(self, draft: Any) -> None:
        for name in ("click_token", "code", "visitor_id"):
            if self._rng.random() < 0.7:
                draft.ClearField(name)

    def _reversal(self, draft: Any, program_id: str) -> None:
        """A refund in the program's currency, mostly of less than there is."""
        if draft.WhichOneof("extent") == "amount":
            draft.amount.amount_minor = round(10 ** self._rng.uniform(0, 4))
            draft.amount.currency_code = self._pool.currencies.get(program_id, "EUR")
        for line in draft.lines.lines:
            line.line_id = f"line-{self._rng.randrange(4)}"
        unique = {line.line_id: line for line in draft.lines.lines}
        if len(unique) < len(draft.lines.lines):
            del draft.lines.lines[1:]

    def _batch(self, request: Any, _program_id: str) -> None:
        """People who are all different, in a batch that is mostly small."""
        seen = {each.participant_id: each for each in request.participants}
        if len(seen) < len(request.participants):
            del request.participants[1:]

    def _authorization(self, request: Any, program_id: str) -> None:
        """A large order in the program's currency, paid with what pays for orders."""
        if offers := [each for each in self._offers(program_id, "assets") if each.HasField("spending")]:
            request.asset = self._rng.choice(offers).code
            request.amount_minor = round(10 ** self._rng.uniform(0, 4))
        request.order_amount.currency_code = self._pool.currencies.get(program_id, "EUR")
        request.order_amount.amount_minor = round(10 ** self._rng.uniform(3, 8))

    def _how_much(self, request: Any, _program_id: str) -> None:
        """All of it, or an amount."""
        if request.whole:
            request.amount_minor = 0
        else:
            request.amount_minor = max(1, request.amount_minor // 1_000)

    def _program(self, program: Any, _program_id: str) -> None:
        """A program like one there is, under a new name."""
        bundle = self._bundles[self._rng.choice(self._programs)]
        program.CopyFrom(bundle.program)
        if self._rng.random() < 0.5:
            self._fill(program, program.DESCRIPTOR.fields_by_name["policy"])
            program.policy.default_sponsor_id = ""
            program.policy.credit_before_binding = 0
        self._count += 1
        program.program_id = f"made-{self._count}"
        program.title = self._rng.choice(("A title", "Название", ""))

    def _update(self, request: Any, program_id: str) -> None:
        """A change of a program that is there."""
        rng = self._rng
        request.program.program_id = program_id
        request.program.currency_code = self._pool.currencies.get(program_id, "EUR")
        if program_id in self._bundles:
            # Attribution and hosts stay, or nothing in it would lead to anybody any more.
            request.program.policy.CopyFrom(self._bundles[program_id].program.policy)
            request.program.allowed_hosts[:] = self._bundles[program_id].program.allowed_hosts
        request.allow_missing = rng.random() < 0.05

    def _plan(self, request: Any, program_id: str) -> None:
        """A plan of a program there is, mostly with a number changed."""
        bundle = self._bundles.get(program_id) or self._bundles[self._rng.choice(self._programs)]
        request.plan.CopyFrom(bundle.plan)
        request.currency_code = self._pool.currencies.get(program_id, bundle.program.currency_code)
        if self._rng.random() < 0.5 and request.plan.rules:
            rule = self._rng.choice(request.plan.rules)
            if self._rng.random() < 0.5:
                rule.when = self._rng.choice(CONDITIONS)
            else:
                rule.hold.duration.seconds = self._rng.choice((1, 30)) * values.SECONDS_A_DAY
        if request.DESCRIPTOR.name == "PublishPlanRequest":
            request.ClearField("effective_time")

    def _texts(self, request: Any, program_id: str) -> None:
        """The texts of a program there is, mostly with one word changed."""
        bundle = self._bundles.get(program_id) or self._bundles[self._rng.choice(self._programs)]
        if bundle.texts is not None and self._rng.random() < 0.9:
            request.texts.CopyFrom(bundle.texts)
        else:
            request.texts.ClearField("locales")
        request.texts.program_title = self._rng.choice(("Title", "Название", "{{ amount }}"))

    def _contact(self, contact: Any, _program_id: str) -> None:
        """A contact with an address and a time zone that there may be, at times with neither."""
        rng = self._rng
        contact.email = rng.choice(("", "anna@shop.example", "O'Neil+tag@Shop.Example", "борис@почта.рф"))
        contact.time_zone = rng.choice(("", "UTC", "Europe/Moscow", "America/St_Johns"))
        contact.ClearField("email_verify_time")
        if contact.email and rng.random() < 0.5:
            contact.email_verify_time.seconds = int(time() - 10 ** rng.uniform(0, 7))

    def _contacts(self, request: Any, _program_id: str) -> None:
        """Fields that a contact has, of people who are all different."""
        request.update_mask.paths[:] = self._rng.sample(CONTACT_MASKS, self._rng.randint(0, 3))
        if request.DESCRIPTOR.name == "BatchUpdateContactsRequest":
            seen = {each.participant_id for each in request.contacts}
            del request.contacts[1 if len(seen) < len(request.contacts) else len(seen) :]

    def _webhook(self, request: Any, _program_id: str) -> None:
        """A webhook at a name that leads nowhere, for nothing outside is to be called."""
        self._count += 1
        request.url = f"https://hooks-{self._count}.invalid{self._rng.choice(('', '/', '/a?b=c', ':8443/x'))}"

    def _link(self, request: Any, program_id: str) -> None:
        """A link to a host that the program allows."""
        bundle = self._bundles.get(program_id)
        host = (
            self._rng.choice(bundle.program.allowed_hosts) if bundle and bundle.program.allowed_hosts else "x.example"
        )
        path = self._rng.choice(("", "/", "/a?b=c&utm_source=x#d", "/%D0%B9", "/й", "?q=🦉"))
        request.destination_url = f"https://{host.replace('*', 'www')}{path}"
        request.share_percent = self._rng.choice(("", "0", "10", "33.333333", "100"))

    def _click(self, click: Any, program_id: str) -> None:
        """A click on a link of the program, just now."""
        rng = self._rng
        click.ClearField("occurred_at")
        now_ms = time_ns() // 1_000_000
        click.click_id = b"" if rng.random() < 0.3 else values.uuid7(rng, now_ms - rng.randrange(1_000)).bytes
        click.program_id = program_id
        click.ip_address = rng.choice(("", "192.0.2.1", "2001:db8::1", "not an address"))
        click.kind = rng.choice((0, 0, 0, 1, 2))

    def _report(self, request: Any, _program_id: str) -> None:
        """An answer about the first attempt, mostly."""
        request.paid = False
        request.attempt = self._rng.choice((1, 1, 1, 2, 3))
        request.outcome = self._rng.choice((1, 2, 2, 3))

    def _period(self, request: Any, _program_id: str) -> None:
        """A period that ends after it begins."""
        request.end_time.seconds = int(time()) + 60
        request.start_time.seconds = int(time() - 10 ** self._rng.uniform(0, 7))

    def _payout(self, request: Any, program_id: str) -> None:
        """A payout that the plan offers, of an amount that somebody may have."""
        request.amount_minor = round(10 ** self._rng.uniform(1, 5))
        if offers := self._offers(program_id, "payouts"):
            terms = self._rng.choice(offers)
            request.asset, request.method = terms.asset, self._rng.choice(terms.methods).method
            request.amount_minor += terms.min_amount_minor

    def _exchange(self, request: Any, program_id: str) -> None:
        """An exchange that the plan offers."""
        request.amount_minor = round(10 ** self._rng.uniform(1, 4))
        if offers := [each for each in self._offers(program_id, "assets") if each.exchanges]:
            asset = self._rng.choice(offers)
            request.asset, request.into = asset.code, self._rng.choice(asset.exchanges).into

    def _gift(self, request: Any, program_id: str) -> None:
        """Something that may be passed on."""
        request.amount_minor = round(10 ** self._rng.uniform(0, 4))
        if offers := [each for each in self._offers(program_id, "assets") if each.transferable]:
            request.asset = self._rng.choice(offers).code

    def _share(self, request: Any, _program_id: str) -> None:
        """A share of a link, of a code, or by word of mouth."""
        for name in self._rng.choice((("link_id",), ("code",), ("link_id", "code"))):
            request.ClearField(name)

    def _offers(self, program_id: str, of: str) -> Sequence[Any]:
        """Things that the plan of a program has; mostly, for others are asked for, too."""
        bundle = self._bundles.get(program_id)
        return getattr(bundle.plan, of) if bundle is not None and self._rng.random() < PLANNED else ()

    def _code(self, request: Any, _program_id: str) -> None:
        """A code of one's own, or one that is generated."""
        request.share_percent = self._rng.choice(("", "0", "10", "33.333333", "100"))
        self._count += 1
        request.code = self._rng.choice(("", f"Code-{self._count}"))


_TIDY: dict[str, Callable[[Tidier, Any, str], None]] = {
    "ConversionDraft": Tidier._draft,
    "ParticipantDraft": Tidier._participant,
    "ReversalDraft": Tidier._reversal,
    "EnrollParticipantsRequest": Tidier._batch,
    "AuthorizeRedemptionRequest": Tidier._authorization,
    "CaptureRedemptionRequest": Tidier._how_much,
    "RefundRedemptionRequest": Tidier._how_much,
    "Program": Tidier._program,
    "UpdateProgramRequest": Tidier._update,
    "PublishPlanRequest": Tidier._plan,
    "ValidatePlanRequest": Tidier._plan,
    "PublishTextsRequest": Tidier._texts,
    "Contact": Tidier._contact,
    "UpdateContactRequest": Tidier._contacts,
    "BatchUpdateContactsRequest": Tidier._contacts,
    "CreateWebhookRequest": Tidier._webhook,
    "CreateLinkRequest": Tidier._link,
    "CreateCodeRequest": Tidier._code,
    "Click": Tidier._click,
    "ReportPayoutRequest": Tidier._report,
    "RequestPayoutRequest": Tidier._payout,
    "ExchangeAssetRequest": Tidier._exchange,
    "GiveAssetRequest": Tidier._gift,
    "RecordShareRequest": Tidier._share,
    "GetSettlementReportRequest": Tidier._period,
}
"""The functions that make a message not only keep to its rules but mean something, by its name."""
