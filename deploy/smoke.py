"""Tries a running stack from outside: python deploy/smoke.py

Applies programs/uds.yaml under a program id of its own, enrols three people in a line, records one more order each time
it is run, and checks wallets, inboxes and the audit. Every run counts what the runs before it left, so that it also
tells whether a restart kept everything: `--after 1` fails unless exactly one earlier run is remembered.

The services are looked for at UPLINE_ATTRIBUTION_ADDR and so on; by default on 127.0.0.1 with the usual ports.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import wallet_pb2
from upline.type.v1.money_pb2 import Money

from cli.bundle.program import load
from cli.client import CALL_SECONDS, Addresses, Client
from cli.programs import apply_bundle

PROGRAM_ID = "smoke"
PROGRAM = Path(__file__).resolve().parent.parent / "programs" / "uds.yaml"
LINE = ("ann", "ben", "cat")
"""Each is sponsored by the one before; the last one buys."""
ORDER_MINOR = 10_000
SIGN_UP_BONUS_MINOR = 10_000
ORDER_REWARDS_MINOR = {"ann": 100, "ben": 300, "cat": 500}
"""1 %, 3 % and 5 % of an order, as programs/uds.yaml has it."""
WAIT_SECONDS = 60.0


async def try_out(client: Client, after: int | None) -> int:
    """Plays one run; returns which one it was. Raises AssertionError where the stack does not do what it should."""
    bundle = load(PROGRAM)
    bundle.program.program_id = PROGRAM_ID
    await apply_bundle(client, bundle)
    await _enrol(client)
    earlier = await _orders(client)
    if after is not None and earlier != after:
        raise AssertionError(f"{earlier} earlier runs are remembered, not {after}")
    await _expect(client, earlier)
    draft = conversion_pb2.ConversionDraft(
        conversion_id=f"smoke-{earlier + 1}",
        event_type="order",
        buyer_id=LINE[-1],
        amount=Money(currency_code=bundle.program.currency_code, amount_minor=ORDER_MINOR),
    )
    request = conversion_pb2.RecordConversionRequest(program_id=PROGRAM_ID, conversion=draft)
    for _told_twice in range(2):
        await client.conversions.RecordConversion(request, timeout=CALL_SECONDS)
    await _expect(client, earlier + 1)
    audit = await client.wallets.AuditLedger(wallet_pb2.AuditLedgerRequest(), timeout=CALL_SECONDS)
    if not audit.balanced:
        raise AssertionError(f"the ledger does not balance: {audit.findings}")
    return earlier + 1


async def _enrol(client: Client) -> None:
    for number, participant in enumerate(LINE):
        draft = participant_pb2.ParticipantDraft(
            participant_id=participant, sponsor_id=LINE[number - 1] if number else "", record_sign_up=True
        )
        request = participant_pb2.EnrollParticipantRequest(
            request_id=f"smoke-{participant}", program_id=PROGRAM_ID, participant=draft
        )
        await client.participants.EnrollParticipant(request, timeout=CALL_SECONDS)


async def _orders(client: Client) -> int:
    count = 0
    request = conversion_pb2.ListConversionsRequest(program_id=PROGRAM_ID, buyer_id=LINE[-1], page_size=1000)
    while True:
        page = await client.conversions.ListConversions(request, timeout=CALL_SECONDS)
        count += int(sum(each.draft.event_type == "order" for each in page.conversions))
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return count


async def _expect(client: Client, orders: int) -> None:
    """Returns when everybody has earned, and was told of, exactly `orders` orders and the sign-ups."""
    deadline = time.monotonic() + WAIT_SECONDS
    wanted = {
        participant: (orders * ORDER_REWARDS_MINOR[participant] + bonus, orders + bool(bonus))
        for participant, bonus in zip(LINE, (SIGN_UP_BONUS_MINOR, SIGN_UP_BONUS_MINOR, 0), strict=True)
    }
    while (found := {each: (await _earned(client, each), await _told(client, each)) for each in LINE}) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"(earned, inbox entries) should be {wanted} and are {found}")
        await asyncio.sleep(0.1)


async def _earned(client: Client, participant: str) -> int:
    request = wallet_pb2.GetWalletRequest(program_id=PROGRAM_ID, participant_id=participant)
    wallet = await client.wallets.GetWallet(request, timeout=CALL_SECONDS)
    return sum(each.held_minor + each.available_minor for each in wallet.balances)


async def _told(client: Client, participant: str) -> int:
    count = 0
    request = notify_pb2.ListInboxRequest(program_id=PROGRAM_ID, participant_id=participant, page_size=1000)
    while True:
        page = await client.inbox.ListInbox(request, timeout=CALL_SECONDS)
        # Holds end after two weeks; a stack that is tried again then tells of that as well.
        count += int(sum(each.kind != notify_pb2.NOTIFICATION_KIND_REWARD_RELEASED for each in page.entries))
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return count


async def main() -> None:
    """Runs it against the stack that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--after", type=int, metavar="RUNS", help="how many earlier runs the stack must remember")
    arguments = parser.parse_args()
    ports = {"attribution": 7101, "rewards": 7102, "notify": 7103}
    addresses = {name: os.environ.get(f"UPLINE_{name.upper()}_ADDR", f"127.0.0.1:{ports[name]}") for name in ports}
    async with Client(Addresses(**addresses)) as client:
        run = await try_out(client, arguments.after)
    print(f"run {run}: three enrolled in a line, {run} orders paid to each once, everyone told, the ledger balances")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except AssertionError as error:
        sys.exit(f"failed: {error}")
