"""`upline payouts`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from upline.rewards.v1 import payout_pb2

from cli.client import CALL_SECONDS, Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import err
from cli.views.payouts import STATE_PREFIX, read_digits, show_payouts

payouts = typer.Typer(
    help="Value that leaves the system: what is asked for, handed over, paid or failed, and what comes back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
PayoutId = Annotated[str, typer.Argument(metavar="PAYOUT", help="The payout's id, the caller's own.")]


@payouts.command("list")
def list_(
    program: ProgramId,
    standing: Annotated[
        str, typer.Option("--state-is", metavar="STATE", help="Only those that are requested, approved, sent, paid, …")
    ] = "",
    participant: Annotated[str, typer.Option("--of", metavar="PARTICIPANT", help="Only this participant's.")] = "",
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many, newest first.")] = 50,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List payouts, newest first; amounts and fees in whole units of their asset (12.50).

    Examples: upline payouts list super-birds; upline payouts list super-birds --state-is requested --json
    """
    states = {
        name.removeprefix(STATE_PREFIX).lower(): number for name, number in payout_pb2.PayoutState.items() if number
    }
    if standing and standing not in states:
        raise typer.BadParameter(f"{standing} is not one of {', '.join(states)}", param_hint="--state-is")
    request = payout_pb2.ListPayoutsRequest(
        program_id=program,
        participant_id=participant,
        state=states.get(standing, payout_pb2.PAYOUT_STATE_UNSPECIFIED),
        page_size=count,
    )

    async def work(client: Client) -> tuple[list[payout_pb2.Payout], dict[str, int]]:
        found = list((await client.payouts.ListPayouts(request, timeout=CALL_SECONDS)).payouts)
        return found, await read_digits(client, found)

    found, digits = run_with_client(StackChoice(state, tuple(target)), work)
    show_payouts(found, digits, as_json)


@payouts.command()
def approve(
    program: ProgramId,
    payout: PayoutId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Let a payout go on.

    Example: upline payouts approve super-birds p-17
    """
    _change(
        StackChoice(state, tuple(target)),
        lambda client: client.payouts.ApprovePayout(
            payout_pb2.ApprovePayoutRequest(program_id=program, payout_id=payout), timeout=CALL_SECONDS
        ),
        as_json,
    )


@payouts.command()
def reject(
    program: ProgramId,
    payout: PayoutId,
    reason: Annotated[str, typer.Option(help="Why; the participant is told.")],
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Say no to a payout that is not on its way; the amount becomes available again.

    Example: upline payouts reject super-birds p-17 --reason "the card is not yours"
    """
    _change(
        StackChoice(state, tuple(target)),
        lambda client: client.payouts.RejectPayout(
            payout_pb2.RejectPayoutRequest(program_id=program, payout_id=payout, reason=reason), timeout=CALL_SECONDS
        ),
        as_json,
    )


@payouts.command()
def retry(
    program: ProgramId,
    payout: PayoutId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Hand a failed payout over once more.

    Example: upline payouts retry super-birds p-17
    """
    _change(
        StackChoice(state, tuple(target)),
        lambda client: client.payouts.RetryPayout(
            payout_pb2.RetryPayoutRequest(program_id=program, payout_id=payout), timeout=CALL_SECONDS
        ),
        as_json,
    )


@payouts.command()
def cancel(
    program: ProgramId,
    payout: PayoutId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Give a failed payout up; the amount becomes available again.

    Example: upline payouts cancel super-birds p-17
    """
    _change(
        StackChoice(state, tuple(target)),
        lambda client: client.payouts.CancelPayout(
            payout_pb2.CancelPayoutRequest(program_id=program, payout_id=payout), timeout=CALL_SECONDS
        ),
        as_json,
    )


@payouts.command()
def report(
    program: ProgramId,
    payout: PayoutId,
    attempt: Annotated[int, typer.Option(min=1, help="Which handing over was answered, as the file names it.")],
    paid: Annotated[bool, typer.Option("--paid", help="The bank or provider has paid.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It has not paid; retry or cancel the payout.")] = False,
    bounced: Annotated[
        bool,
        typer.Option("--bounced", help="It had paid, and the money came back; it is available again but for the fee."),
    ] = False,
    reference: Annotated[str, typer.Option(help="The provider's reference.")] = "",
    reason: Annotated[str, typer.Option(help="Why it failed or came back.")] = "",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Tell what became of a payout that was handed over: one of --paid, --failed and --bounced.

    Examples: upline payouts report super-birds p-17 --attempt 1 --paid;
    upline payouts report super-birds p-17 --attempt 2 --failed --reason "account closed";
    upline payouts report super-birds p-17 --attempt 1 --bounced --reason "no such account"
    """
    said = [
        outcome
        for is_said, outcome in (
            (paid, payout_pb2.PAYOUT_OUTCOME_PAID),
            (failed, payout_pb2.PAYOUT_OUTCOME_FAILED),
            (bounced, payout_pb2.PAYOUT_OUTCOME_BOUNCED),
        )
        if is_said
    ]
    if len(said) != 1:
        raise typer.BadParameter("say what was answered by one of --paid, --failed and --bounced")
    request = payout_pb2.ReportPayoutRequest(
        program_id=program,
        payout_id=payout,
        attempt=attempt,
        outcome=said[0],
        provider_reference=reference,
        reason=reason,
    )
    _change(
        StackChoice(state, tuple(target)),
        lambda client: client.payouts.ReportPayout(request, timeout=CALL_SECONDS),
        as_json,
    )


@payouts.command()
def batch(
    program: ProgramId,
    batch_id: Annotated[
        str, typer.Argument(metavar="BATCH", help="Your name for the batch; the same name gives the same batch again.")
    ],
    file: Annotated[Path, typer.Option("--csv", metavar="FILE", help="The file for the bank or provider.")],
    method: Annotated[str, typer.Option(help="Only payouts by this method.")] = "",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Hand every approved payout over in one CSV file; amounts in whole units of their asset (12.50).

    Example: upline payouts batch super-birds 2026-05-31 --csv payouts.csv
    """
    request = payout_pb2.CreatePayoutBatchRequest(program_id=program, batch_id=batch_id, method=method)

    async def work(client: Client) -> tuple[payout_pb2.CreatePayoutBatchResponse, dict[str, int]]:
        made = await client.payouts.CreatePayoutBatch(request, timeout=CALL_SECONDS)
        return made, await read_digits(client, list(made.payouts))

    made, digits = run_with_client(StackChoice(state, tuple(target)), work)
    file.write_text(made.csv, encoding="utf-8")
    err.print(f"wrote {len(made.payouts)} payouts to {file}", markup=False)
    show_payouts(list(made.payouts), digits, as_json)


def _change(where: StackChoice, change: Callable[[Client], Awaitable[Any]], as_json: bool) -> None:
    async def work(client: Client) -> tuple[payout_pb2.Payout, dict[str, int]]:
        changed = (await change(client)).payout
        return changed, await read_digits(client, [changed])

    changed, digits = run_with_client(where, work)
    show_payouts([changed], digits, as_json)
