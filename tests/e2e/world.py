"""The three services together, and short names for what people do with them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from upline.attribution.v1 import click_pb2, conversion_pb2, link_pb2, participant_pb2
from upline.notify.v1 import contact_pb2, notify_pb2
from upline.rewards.v1 import reward_pb2, wallet_pb2
from upline.type.v1 import money_pb2

from cli.bundle.program import load
from cli.client import Client
from cli.programs import apply_bundle
from tests.flow import Flow
from tests.running import DEADLINE_SECONDS

PROGRAMS = Path(__file__).resolve().parents[2] / "programs"

Wallet = dict[str, tuple[int, int]]
"""(held, available) by asset."""


@dataclass(frozen=True)
class World:
    """One program on the running services."""

    client: Client
    flow: Flow
    program_id: str
    currency: str

    async def enrol(self, participant_id: str, **fields: Any) -> participant_pb2.Participant:
        """Enrols one."""
        request = participant_pb2.EnrollParticipantRequest(
            request_id=uuid4().hex,
            program_id=self.program_id,
            participant=participant_pb2.ParticipantDraft(participant_id=participant_id, **fields),
        )
        return (await self.client.participants.EnrollParticipant(request, timeout=DEADLINE_SECONDS)).participant

    async def enrol_all(self, drafts: Sequence[participant_pb2.ParticipantDraft]) -> None:
        """Enrols up to a thousand, sponsors first."""
        request = participant_pb2.EnrollParticipantsRequest(
            request_id=uuid4().hex, program_id=self.program_id, participants=drafts
        )
        await self.client.participants.EnrollParticipants(request, timeout=DEADLINE_SECONDS)

    async def code(self, participant_id: str) -> str:
        """A fresh code of a participant."""
        request = link_pb2.CreateCodeRequest(
            request_id=uuid4().hex, program_id=self.program_id, participant_id=participant_id
        )
        return str((await self.client.links.CreateCode(request, timeout=DEADLINE_SECONDS)).code.code)

    async def click(self, participant_id: str, destination: str) -> str:
        """Somebody follows a fresh link of a participant; returns the click's token."""
        request = link_pb2.CreateLinkRequest(
            request_id=uuid4().hex,
            program_id=self.program_id,
            participant_id=participant_id,
            destination_url=destination,
        )
        link = (await self.client.links.CreateLink(request, timeout=DEADLINE_SECONDS)).link
        click = click_pb2.Click(program_id=self.program_id, link_id=link.link_id, visitor_id=uuid4().hex)
        answer = await self.client.clicks.RecordClick(
            click_pb2.RecordClickRequest(click=click), timeout=DEADLINE_SECONDS
        )
        return str(answer.click_token)

    def order(
        self, conversion_id: str, buyer_id: str, amount_minor: int, **fields: Any
    ) -> conversion_pb2.ConversionDraft:
        """An order, not recorded yet."""
        return conversion_pb2.ConversionDraft(
            conversion_id=conversion_id,
            event_type="order",
            buyer_id=buyer_id,
            amount=money_pb2.Money(currency_code=self.currency, amount_minor=amount_minor),
            **fields,
        )

    async def buy(
        self, conversion_id: str, buyer_id: str, amount_minor: int, **fields: Any
    ) -> conversion_pb2.Conversion:
        """Records an order."""
        request = conversion_pb2.RecordConversionRequest(
            program_id=self.program_id, conversion=self.order(conversion_id, buyer_id, amount_minor, **fields)
        )
        return (await self.client.conversions.RecordConversion(request, timeout=DEADLINE_SECONDS)).conversion

    async def record(
        self, drafts: Sequence[conversion_pb2.ConversionDraft]
    ) -> conversion_pb2.RecordConversionsResponse:
        """Records up to a thousand conversions."""
        request = conversion_pb2.RecordConversionsRequest(program_id=self.program_id, conversions=drafts)
        return await self.client.conversions.RecordConversions(request, timeout=DEADLINE_SECONDS)

    async def refund(self, reversal_id: str, conversion_id: str, amount_minor: int = 0) -> conversion_pb2.Reversal:
        """Takes a conversion back: an amount, or all that is left of it."""
        request = conversion_pb2.ReverseConversionRequest(
            program_id=self.program_id, reversal=self.reversal(reversal_id, conversion_id, amount_minor)
        )
        return (await self.client.conversions.ReverseConversion(request, timeout=DEADLINE_SECONDS)).reversal

    def reversal(self, reversal_id: str, conversion_id: str, amount_minor: int = 0) -> conversion_pb2.ReversalDraft:
        """A reversal of an amount, or of all that is left, not recorded yet."""
        draft = conversion_pb2.ReversalDraft(reversal_id=reversal_id, conversion_id=conversion_id)
        if amount_minor:
            draft.amount.CopyFrom(money_pb2.Money(currency_code=self.currency, amount_minor=amount_minor))
        else:
            draft.whole.SetInParent()
        return draft

    async def reverse(self, drafts: Sequence[conversion_pb2.ReversalDraft]) -> None:
        """Takes up to a thousand conversions back."""
        request = conversion_pb2.ReverseConversionsRequest(program_id=self.program_id, reversals=drafts)
        await self.client.conversions.ReverseConversions(request, timeout=DEADLINE_SECONDS)

    async def wallet(self, participant_id: str) -> Wallet:
        """A participant's balances."""
        request = wallet_pb2.GetWalletRequest(program_id=self.program_id, participant_id=participant_id)
        answer = await self.client.wallets.GetWallet(request, timeout=DEADLINE_SECONDS)
        return {each.asset: (each.held_minor, each.available_minor) for each in answer.balances}

    async def wallets(self, *participants: str) -> list[Wallet]:
        """The balances of each participant."""
        return [await self.wallet(each) for each in participants]

    async def transfers(self, participant_id: str) -> list[wallet_pb2.Transfer]:
        """The newest thousand transfers of a participant."""
        request = wallet_pb2.ListTransfersRequest(
            program_id=self.program_id, participant_id=participant_id, page_size=1000
        )
        return list((await self.client.wallets.ListTransfers(request, timeout=DEADLINE_SECONDS)).transfers)

    async def rewards_of(self, participant_id: str) -> list[reward_pb2.Reward]:
        """Every reward of a participant, page by page."""
        found: list[reward_pb2.Reward] = []
        token = ""
        while True:
            request = reward_pb2.ListRewardsRequest(
                program_id=self.program_id, beneficiary_id=participant_id, page_size=1000, page_token=token
            )
            page = await self.client.rewards.ListRewards(request, timeout=DEADLINE_SECONDS)
            found += page.rewards
            if not (token := page.next_page_token):
                return found

    async def explain_reward(self, reward_id: str, locale: str = "en") -> reward_pb2.ExplainRewardResponse:
        """Why a reward is what it is."""
        request = reward_pb2.ExplainRewardRequest(program_id=self.program_id, reward_id=reward_id, locale=locale)
        return await self.client.rewards.ExplainReward(request, timeout=DEADLINE_SECONDS)

    async def explain_conversion(self, conversion_id: str, locale: str = "en") -> reward_pb2.ExplainConversionResponse:
        """Why a conversion paid what it paid."""
        request = reward_pb2.ExplainConversionRequest(
            program_id=self.program_id, conversion_id=conversion_id, locale=locale
        )
        return await self.client.rewards.ExplainConversion(request, timeout=DEADLINE_SECONDS)

    async def totals(self, top_count: int = 3) -> reward_pb2.GetProgramTotalsResponse:
        """The totals that the program has paid."""
        request = reward_pb2.GetProgramTotalsRequest(program_id=self.program_id, top_count=top_count)
        return await self.client.rewards.GetProgramTotals(request, timeout=DEADLINE_SECONDS)

    async def audit(self) -> list[str]:
        """The findings of the audit."""
        request = wallet_pb2.AuditLedgerRequest(program_id=self.program_id, full=True)
        answer = await self.client.wallets.AuditLedger(request, timeout=DEADLINE_SECONDS)
        return [f"{each.check} {each.subject}: {each.detail}" for each in answer.findings]

    async def speaks(self, participant_id: str, locale: str) -> None:
        """A participant chooses a language."""
        request = notify_pb2.UpdatePreferencesRequest(
            request_id=uuid4().hex,
            program_id=self.program_id,
            participant_id=participant_id,
            preferences=notify_pb2.Preferences(locale=locale),
        )
        await self.client.preferences.UpdatePreferences(request, timeout=DEADLINE_SECONDS)

    async def calls(self, participant_id: str, name: str) -> None:
        """The platform says what a participant is called."""
        request = contact_pb2.UpdateContactRequest(
            request_id=uuid4().hex,
            program_id=self.program_id,
            contact=contact_pb2.Contact(participant_id=participant_id, display_name=name),
        )
        await self.client.contacts.UpdateContact(request, timeout=DEADLINE_SECONDS)

    async def inbox(self, participant_id: str) -> list[notify_pb2.InboxEntry]:
        """Every entry of an inbox, oldest first, page by page."""
        found: list[notify_pb2.InboxEntry] = []
        token = ""
        while True:
            request = notify_pb2.ListInboxRequest(
                program_id=self.program_id, participant_id=participant_id, page_size=1000, page_token=token
            )
            page = await self.client.inbox.ListInbox(request, timeout=DEADLINE_SECONDS)
            found += page.entries
            if not (token := page.next_page_token):
                return found[::-1]

    @asynccontextmanager
    async def watching(self, participant_id: str) -> AsyncIterator["Watch"]:
        """A watch of an inbox, begun."""
        call = self.client.inbox.WatchInbox(
            notify_pb2.WatchInboxRequest(program_id=self.program_id, participant_id=participant_id)
        )
        watch = Watch(call)
        assert not (await watch.message()).HasField("entry")
        try:
            yield watch
        finally:
            call.cancel()

    async def drained(self) -> None:
        """Returns when all that was recorded is settled and told."""
        await self.flow.drained()


@dataclass(frozen=True)
class Watch:
    """A caller of WatchInbox."""

    call: grpc.aio.UnaryStreamCall[notify_pb2.WatchInboxRequest, notify_pb2.WatchInboxResponse]

    async def message(self) -> notify_pb2.WatchInboxResponse:
        """The next message."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer: notify_pb2.WatchInboxResponse = await self.call.read()
        return answer


async def open_program(client: Client, flow: Flow, file: str, program_id: str) -> World:
    """Applies a program file of the repository under another id."""
    bundle = load(PROGRAMS / file)
    bundle.program.program_id = program_id
    await apply_bundle(client, bundle)
    return World(client, flow, program_id, bundle.program.currency_code)
