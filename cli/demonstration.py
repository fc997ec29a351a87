"""The story that `upline demo` plays: three people in a line, then a shop's real purchases."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
from upline.attribution.v1 import click_pb2, conversion_pb2, link_pb2, participant_pb2
from upline.notify.v1 import contact_pb2, notify_pb2
from upline.rewards.v1 import reward_pb2, wallet_pb2
from upline.type.v1.money_pb2 import Money

from cli.bundle.program import load
from cli.client import CALL_SECONDS, Client
from cli.output import out
from cli.programs import apply_bundle, result_lines
from cli.replay.data import make_up_sponsors, read_purchases
from cli.replay.result import print_result
from cli.replay.run import replay_purchases
from cli.replay.shipped import PROGRAM, PROGRAMS, PURCHASES
from cli.views.audit import read_audit
from cli.views.explanation import print_explanation, read_explanation
from cli.views.inbox import print_entry, read_inbox
from cli.views.tree import draw_tree, read_tree
from cli.views.wallet import print_balances, read_wallet

PROGRAM_ID = "uds"
ORDER = "order-1"
ORDER_MINOR = 250_000
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
PEOPLE = {"olga": "ru", "maria": "en", "vera": "ru"}
NAMES = {"olga": "Ольга", "maria": "Maria", "vera": "Вера"}


class Demonstration:
    """The demo. Every step is safe to repeat: ids are its own, so that a second run finds what the first one made."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, *, with_purchases: bool) -> bool:
        """Plays everything; returns whether it ended as it should."""
        again = await self._apply_program()
        await self._enrol_people(again)
        await self._buy(again)
        await self._show_results()
        return (
            await self._replay_purchases()
            if with_purchases
            else (await read_audit(self._client, PROGRAM_ID, full=True)).balanced
        )

    async def _apply_program(self) -> bool:
        _print_title(
            "A program: cashback for the buyer, points for two levels above, a bonus for recommending"
            " (programs/uds.yaml)"
        )
        applied = await apply_bundle(self._client, load(PROGRAMS / "uds.yaml"))
        for line in result_lines(applied):
            out.print(f"  {line}", markup=False)
        return await self._is_enrolled("vera")

    async def _is_enrolled(self, participant: str) -> bool:
        request = participant_pb2.GetParticipantRequest(program_id=PROGRAM_ID, participant_id=participant)
        try:
            await self._client.participants.GetParticipant(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _enrol_people(self, again: bool) -> None:
        _print_title("Three people: olga invites maria by a code, maria invites vera by a link")
        if again:
            out.print("  they are here already, from an earlier run")
            return
        names = [contact_pb2.Contact(participant_id=each, display_name=name) for each, name in NAMES.items()]
        await self._client.contacts.BatchUpdateContacts(
            contact_pb2.BatchUpdateContactsRequest(request_id="demo-names", program_id=PROGRAM_ID, contacts=names),
            timeout=CALL_SECONDS,
        )
        for participant, locale in PEOPLE.items():
            preferences = notify_pb2.Preferences(locale=locale)
            await self._client.preferences.UpdatePreferences(
                notify_pb2.UpdatePreferencesRequest(
                    request_id=f"demo-language-{participant}",
                    program_id=PROGRAM_ID,
                    participant_id=participant,
                    preferences=preferences,
                ),
                timeout=CALL_SECONDS,
            )
        await self._enrol(participant_pb2.ParticipantDraft(participant_id="olga", attributes={"name": NAMES["olga"]}))
        code = await self._make_code("olga")
        out.print(f"  olga's code is {code}")
        await self._enrol(
            participant_pb2.ParticipantDraft(
                participant_id="maria", attributes={"name": NAMES["maria"]}, code=code, record_sign_up=True
            )
        )
        out.print("  maria signed up with it")
        link = await self._make_link_and_share("maria")
        out.print(f"  maria's link is {link.url}", markup=False)
        token = await self._follow_link(link.link_id)
        out.print(f"  vera followed it; her visit is a signed token of {len(token)} characters")
        await self._enrol(
            participant_pb2.ParticipantDraft(
                participant_id="vera", attributes={"name": NAMES["vera"]}, click_token=token, record_sign_up=True
            )
        )
        out.print("  vera signed up with it")

    async def _enrol(self, draft: participant_pb2.ParticipantDraft) -> None:
        if await self._is_enrolled(draft.participant_id):
            return  # an earlier run was interrupted after this one
        await self._client.participants.EnrollParticipant(
            participant_pb2.EnrollParticipantRequest(
                request_id=f"demo-enrol-{draft.participant_id}", program_id=PROGRAM_ID, participant=draft
            ),
            timeout=CALL_SECONDS,
        )

    async def _make_code(self, participant: str) -> str:
        request = link_pb2.CreateCodeRequest(
            request_id=f"demo-code-{participant}",
            program_id=PROGRAM_ID,
            participant_id=participant,
            channel="in person",
        )
        return str((await self._client.links.CreateCode(request, timeout=CALL_SECONDS)).code.code)

    async def _make_link_and_share(self, participant: str) -> link_pb2.Link:
        answer = await self._client.links.CreateLink(
            link_pb2.CreateLinkRequest(
                request_id=f"demo-link-{participant}",
                program_id=PROGRAM_ID,
                participant_id=participant,
                destination_url="https://coffee.example/welcome",
                channel="messenger",
                campaign="spring",
            ),
            timeout=CALL_SECONDS,
        )
        link: link_pb2.Link = answer.link
        await self._client.links.RecordShare(
            link_pb2.RecordShareRequest(
                request_id=f"demo-share-{participant}",
                program_id=PROGRAM_ID,
                participant_id=participant,
                link_id=link.link_id,
                channel="messenger",
            ),
            timeout=CALL_SECONDS,
        )
        return link

    async def _follow_link(self, link_id: str) -> str:
        click = click_pb2.Click(program_id=PROGRAM_ID, link_id=link_id, visitor_id="demo-visitor")
        click.occurred_at.GetCurrentTime()
        answer = await self._client.clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=CALL_SECONDS)
        return str(answer.click_token)

    async def _buy(self, again: bool) -> None:
        _print_title("vera buys coffee for 2 500.00 RUB")
        if await self._order_is_recorded():
            out.print("  this order is recorded already; it is paid once, however often it is told")
        else:
            draft = conversion_pb2.ConversionDraft(
                conversion_id=ORDER,
                event_type="order",
                buyer_id="vera",
                amount=Money(currency_code="RUB", amount_minor=ORDER_MINOR),
            )
            began = time.monotonic()
            await self._client.conversions.RecordConversion(
                conversion_pb2.RecordConversionRequest(program_id=PROGRAM_ID, conversion=draft), timeout=CALL_SECONDS
            )
            await self._wait_until(self._everybody_is_paid, "the order was not paid")
            out.print(f"  recorded, paid to three people in {(time.monotonic() - began) * 1000:.0f} ms")
        await self._wait_until(self._everybody_is_told, "not everyone was told")

    async def _order_is_recorded(self) -> bool:
        request = conversion_pb2.GetConversionRequest(program_id=PROGRAM_ID, conversion_id=ORDER)
        try:
            await self._client.conversions.GetConversion(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _everybody_is_paid(self) -> bool:
        page = await self._client.rewards.ListRewards(
            reward_pb2.ListRewardsRequest(program_id=PROGRAM_ID, conversion_id=ORDER), timeout=CALL_SECONDS
        )
        return len(page.rewards) == len(PEOPLE)

    async def _everybody_is_told(self) -> bool:
        inboxes = [await read_inbox(self._client, PROGRAM_ID, each, 100) for each in PEOPLE]
        return all(any(entry.conversion_id == ORDER for entry in entries) for entries in inboxes)

    async def _wait_until(self, done: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not await done():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{otherwise} within {WAIT_SECONDS:.0f} seconds; `upline doctor` and the logs say more"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _show_results(self) -> None:
        _print_title("Who invited whom")
        out.print(draw_tree("olga", *(await read_tree(self._client, PROGRAM_ID, "olga", 0, 100))[:2]))
        _print_title("Wallets: maria never bought anything, and earns")
        wallets: dict[str, wallet_pb2.GetWalletResponse] = {}
        for participant in PEOPLE:
            wallets[participant], _none = await read_wallet(self._client, PROGRAM_ID, participant)
        print_balances(wallets)
        for participant, language in (("olga", "in Russian"), ("maria", "in English")):
            _print_title(f"What {participant} was told, {language}")
            for entry in reversed(await read_inbox(self._client, PROGRAM_ID, participant, 20)):
                print_entry(entry, "  ")
        _print_title(f"Why: every rule and level of {ORDER}")
        print_explanation(await read_explanation(self._client, PROGRAM_ID, ORDER, "en"))

    async def _replay_purchases(self) -> bool:
        purchases = read_purchases(PURCHASES)
        _print_title(
            f"{len(purchases)} real purchases through three levels, 5 %, 2 % and 1 % (programs/three-levels.yaml)"
        )
        result = await replay_purchases(self._client, load(PROGRAM), make_up_sponsors(purchases), purchases)
        if not result["recorded_now"]:
            out.print("everything was recorded by an earlier run; nothing was paid twice")
        print_result(result)
        return bool(result["ledger_balanced"]) and result["orders"] == len(purchases)


def _print_title(title: str) -> None:
    out.print(f"\n{title}", style="bold", markup=False)
