"""`upline approvals`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from upline.rewards.v1 import approval_pb2, reward_pb2, wallet_pb2

from cli.bundle.encode import plain
from cli.client import CALL_SECONDS, Client
from cli.connection import Where, call
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import amount, moment, out, print_json, table

approvals = typer.Typer(help="Rewards that wait for a person.", no_args_is_help=True, rich_markup_mode=None)
ConversionId = Annotated[
    str, typer.Argument(metavar="CONVERSION", help="The conversion's id, such as an order number.")
]


@approvals.command("list")
def list_(
    program: ProgramId,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many conversions, oldest first.")] = 50,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List what waits for a person's approval, oldest first.

    Example: upline approvals list staged-sale
    """
    request = approval_pb2.ListPendingApprovalsRequest(program_id=program, page_size=count)

    async def read(client: Client) -> list[reward_pb2.Reward]:
        answer = await client.approvals.ListPendingApprovals(request, timeout=CALL_SECONDS)
        return [reward for each in answer.approvals for reward in each.rewards]

    _show(Where(state, tuple(target)), read, as_json)


@approvals.command()
def approve(
    program: ProgramId,
    conversion: ConversionId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Let the rewards of a conversion go on.

    Example: upline approvals approve staged-sale deal-7
    """
    request = approval_pb2.ApproveRewardsRequest(program_id=program, conversion_id=conversion)

    async def change(client: Client) -> list[reward_pb2.Reward]:
        return list((await client.approvals.ApproveRewards(request, timeout=CALL_SECONDS)).rewards)

    _show(Where(state, tuple(target)), change, as_json)


@approvals.command()
def reject(
    program: ProgramId,
    conversion: ConversionId,
    reason: Annotated[str, typer.Option(help="Why; the participants see it.")],
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Refuse the rewards of a conversion.

    Example: upline approvals reject staged-sale deal-7 --reason "the deal was lost"
    """
    request = approval_pb2.RejectRewardsRequest(program_id=program, conversion_id=conversion, reason=reason)

    async def change(client: Client) -> list[reward_pb2.Reward]:
        return list((await client.approvals.RejectRewards(request, timeout=CALL_SECONDS)).rewards)

    _show(Where(state, tuple(target)), change, as_json)


def _show(where: Where, work: Callable[[Client], Awaitable[list[reward_pb2.Reward]]], as_json: bool) -> None:
    async def whole(client: Client) -> tuple[list[reward_pb2.Reward], dict[str, int]]:
        rewards = await work(client)
        if not rewards:
            return rewards, {}
        request = wallet_pb2.GetWalletRequest(
            program_id=rewards[0].program_id, participant_id=rewards[0].beneficiary_id
        )
        balances: Any = (await client.wallets.GetWallet(request, timeout=CALL_SECONDS)).balances
        return rewards, {each.asset: each.minor_digits for each in balances}

    rewards, digits = call(where, whole)
    if as_json:
        print_json({"rewards": [plain(each, defaults=True) for each in rewards]})
        return
    rows = table(
        "", "conversion", "rule", "level", "participant", "amount", "state", "since", right=("level", "amount")
    )
    for each in rewards:
        told = reward_pb2.RewardState.Name(each.state).removeprefix("REWARD_STATE_").lower()
        sum_ = amount(each.net_minor or each.amount_minor, digits.get(each.asset, 0), each.asset)
        rows.add_row(
            each.conversion_id,
            each.rule_id,
            str(each.level),
            each.beneficiary_id,
            sum_,
            told,
            moment(each.create_time),
        )
    out.print(rows if rewards else "nothing")
