"""`upline approvals`."""

from typing import Annotated

import typer
from upline.rewards.v1 import approval_pb2, reward_pb2, wallet_pb2

from cli.bundle.encode import plain_values
from cli.client import CALL_SECONDS, Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import err, format_amount, format_time, make_table, out, print_json

approvals = typer.Typer(help="Rewards that wait for a person's word.", no_args_is_help=True, rich_markup_mode=None)
Conversion = Annotated[
    str, typer.Argument(metavar="CONVERSION", help="The conversion whose rewards wait, such as an order number.")
]
_PREFIX = "REWARD_STATE_"


@approvals.command("list")
def list_(
    program: ProgramId,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="Conversions at most, oldest first.")] = 50,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List what waits, oldest first; amounts in whole units of their asset (12.50).

    Example: upline approvals list staged-sale
    """
    request = approval_pb2.ListPendingApprovalsRequest(program_id=program, page_size=count)

    async def work(client: Client) -> tuple[approval_pb2.ListPendingApprovalsResponse, dict[str, int]]:
        page = await client.approvals.ListPendingApprovals(request, timeout=CALL_SECONDS)
        return page, await read_digits(client, [reward for each in page.approvals for reward in each.rewards])

    page, digits = run_with_client(StackChoice(state, tuple(target)), work)
    if as_json:
        print_json(
            {
                "approvals": [plain_values(each, defaults=True) for each in page.approvals],
                "more": bool(page.next_page_token),
            }
        )
        return
    show_rewards([reward for each in page.approvals for reward in each.rewards], digits)
    if page.next_page_token:
        err.print(f"… and more; --count shows more than {count}")


@approvals.command()
def approve(
    program: ProgramId,
    conversion: Conversion,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Let the rewards of a conversion go on.

    Example: upline approvals approve staged-sale lead-17
    """
    request = approval_pb2.ApproveRewardsRequest(program_id=program, conversion_id=conversion)

    async def work(client: Client) -> tuple[list[reward_pb2.Reward], dict[str, int]]:
        rewards = list((await client.approvals.ApproveRewards(request, timeout=CALL_SECONDS)).rewards)
        return rewards, await read_digits(client, rewards)

    _tell(*run_with_client(StackChoice(state, tuple(target)), work), as_json)


@approvals.command()
def reject(
    program: ProgramId,
    conversion: Conversion,
    reason: Annotated[str, typer.Option(help="Why; it stays with the reward.")],
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Reject the rewards of a conversion that wait for a word.

    Example: upline approvals reject staged-sale lead-18 --reason "not a company"
    """
    request = approval_pb2.RejectRewardsRequest(program_id=program, conversion_id=conversion, reason=reason)

    async def work(client: Client) -> tuple[list[reward_pb2.Reward], dict[str, int]]:
        rewards = list((await client.approvals.RejectRewards(request, timeout=CALL_SECONDS)).rewards)
        return rewards, await read_digits(client, rewards)

    _tell(*run_with_client(StackChoice(state, tuple(target)), work), as_json)


async def read_digits(client: Client, rewards: list[reward_pb2.Reward]) -> dict[str, int]:
    """The decimal places of each asset among rewards of one program."""
    found: dict[str, int] = {}
    for each in rewards:
        if each.asset not in found:
            request = wallet_pb2.GetWalletRequest(program_id=each.program_id, participant_id=each.beneficiary_id)
            balances = (await client.wallets.GetWallet(request, timeout=CALL_SECONDS)).balances
            found |= {balance.asset: balance.minor_digits for balance in balances}
    return found


def show_rewards(rewards: list[reward_pb2.Reward], digits: dict[str, int]) -> None:
    """Prints a table of rewards."""
    rows = make_table("", "conversion", "rule", "to", "amount", "state", "since", "why", right=("amount",))
    for each in rewards:
        rows.add_row(
            each.conversion_id,
            each.rule_id,
            each.beneficiary_id,
            format_amount(each.net_minor, digits.get(each.asset, 0), each.asset),
            reward_pb2.RewardState.Name(each.state).removeprefix(_PREFIX).lower(),
            format_time(each.create_time),
            each.rejection_reason,
        )
    out.print(rows)


def _tell(rewards: list[reward_pb2.Reward], digits: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json({"rewards": [plain_values(each, defaults=True) for each in rewards]})
    else:
        show_rewards(rewards, digits)
