"""`upline leaderboard`."""

from typing import Annotated, Any

import typer
from upline.rewards.v1 import contest_pb2

from cli.client import CALL_SECONDS, Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets
from cli.output import format_time, make_table, out, print_json


def leaderboard(
    program: ProgramId,
    contest: Annotated[str, typer.Argument(metavar="CONTEST", help="The contest's id, from the program's plan.")],
    participant: Annotated[str, typer.Option("--of", metavar="PARTICIPANT", help="Also where this one stands.")] = "",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many to show.")] = 10,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show who is ahead in a contest, or who won it.

    Scores, and what is missing to the next rank, are what the contest's counter counts: conversions, people, or, where
    it measures volume, minor units (cents) of the program's currency.

    Examples: upline leaderboard golden-mines spring; upline leaderboard golden-mines spring --of vera --json
    """
    board, place = run_with_client(
        StackChoice(state, tuple(target)), lambda client: read_leaderboard(client, program, contest, participant, top)
    )
    if as_json:
        from cli.bundle.encode import plain_values

        values = plain_values(board, defaults=True)
        print_json(
            values if place is None else values | {"of": participant, "place": plain_values(place, defaults=True)}
        )
        return
    name = contest_pb2.ContestState.Name(board.state).removeprefix("CONTEST_STATE_").lower()
    rows = make_table(f"{contest} is {name}", "rank", "participant", "score", "since", right=("rank", "score"))
    for each in board.standings:
        rows.add_row(str(each.rank), each.participant_id, str(each.score), format_time(each.reach_time))
    out.print(rows)
    if place is not None:
        out.print(standing_sentence(participant, place))


async def read_leaderboard(client: Client, program: str, contest: str, participant: str, top: int) -> tuple[Any, Any]:
    """The ranking, and the participant's place if one is named."""
    board = await client.contests.GetLeaderboard(
        contest_pb2.GetLeaderboardRequest(program_id=program, contest_id=contest, page_size=top), timeout=CALL_SECONDS
    )
    if not participant:
        return board, None
    request = contest_pb2.GetStandingRequest(program_id=program, contest_id=contest, participant_id=participant)
    return board, await client.contests.GetStanding(request, timeout=CALL_SECONDS)


def standing_sentence(participant: str, place: contest_pb2.GetStandingResponse) -> str:
    """A sentence that says how somebody is ranked, and what the next rank takes."""
    if not place.HasField("standing"):
        return f"{participant} is not ranked; {place.to_next_rank} more and they are, with {place.ranked_count} others"
    standing = f"{participant} is number {place.standing.rank} of {place.ranked_count} with {place.standing.score}"
    return f"{standing}; {place.to_next_rank} more and they are one ahead" if place.to_next_rank else standing
