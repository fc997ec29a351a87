"""`upline explain`."""

from typing import Annotated

import typer
from upline.rewards.v1 import reward_pb2

from cli.client import CALL_SECONDS, Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, Locale, ProgramId, State, Targets
from cli.output import format_time, out, print_json
from cli.views.explanation import print_derivation, print_explanation, read_explanation

explain = typer.Typer(
    help="Why a reward is what it is, and why somebody got nothing.", no_args_is_help=True, rich_markup_mode=None
)


@explain.command()
def conversion(
    program: ProgramId,
    conversion_id: Annotated[
        str, typer.Argument(metavar="CONVERSION", help="The conversion's id, such as an order number.")
    ],
    locale: Locale = "en",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Explain one conversion: what every rule paid at every level, or why not.

    Examples: upline explain conversion uds order-1; upline explain conversion uds order-1 --locale ru
    """
    answer = run_with_client(
        StackChoice(state, tuple(target)), lambda client: read_explanation(client, program, conversion_id, locale)
    )
    if as_json:
        print_json(answer)
    else:
        print_explanation(answer)


@explain.command()
def reward(
    program: ProgramId,
    reward_id: Annotated[
        str,
        typer.Argument(
            metavar="REWARD",
            help="The reward's id, as `upline wallet PROGRAM PARTICIPANT --transfers 20 --json` tells it.",
        ),
    ],
    locale: Locale = "en",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Explain one reward: how its first amount came about, what was taken back, and what is left.

    Example: upline explain reward uds 01a200516f5f89d5b4c1c4cfd8cc0101
    """

    async def work(client: Client) -> reward_pb2.ExplainRewardResponse:
        request = reward_pb2.ExplainRewardRequest(program_id=program, reward_id=reward_id, locale=locale)
        answer: reward_pb2.ExplainRewardResponse = await client.rewards.ExplainReward(request, timeout=CALL_SECONDS)
        return answer

    answer = run_with_client(StackChoice(state, tuple(target)), work)
    if as_json:
        print_json(answer)
        return
    print_derivation(answer.derivation)
    for each in answer.revisions:
        cause = each.reversal_id or f"a rejection: {each.rejection_reason}"
        change = f"{each.delta_minor:+d} {answer.reward.asset} (minor units)"
        out.print(f"{format_time(each.create_time)}  {change} by {cause}", markup=False)
    if answer.revisions:
        out.print("now:", markup=False)
        print_derivation(answer.current)
