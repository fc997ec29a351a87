"""The explanation of a conversion: what every rule paid at every level, or why not."""

from upline.rewards.v1 import reward_pb2

from cli.client import CALL_SECONDS, Client
from cli.output import make_table, out


def print_derivation(derivation: reward_pb2.Derivation) -> None:
    """Prints the sentence, then the steps from the exact amount to the one that is paid."""
    for line in (derivation.sentence, *(f"  {step}" for step in derivation.steps)):
        out.print(line, markup=False)


async def read_explanation(
    client: Client, program: str, conversion_id: str, locale: str
) -> reward_pb2.ExplainConversionResponse:
    """The explanation of a conversion, all its pages. NOT_FOUND as long as the conversion is not settled."""
    request = reward_pb2.ExplainConversionRequest(program_id=program, conversion_id=conversion_id, locale=locale)
    answer: reward_pb2.ExplainConversionResponse = await client.rewards.ExplainConversion(request, timeout=CALL_SECONDS)
    while answer.next_page_token:
        request.page_token = answer.next_page_token
        page = await client.rewards.ExplainConversion(request, timeout=CALL_SECONDS)
        answer.derivations.extend(page.derivations)
        answer.next_page_token = page.next_page_token
    return answer


def print_explanation(answer: reward_pb2.ExplainConversionResponse) -> None:
    """Prints the sentence, then a line for every rule and level."""
    out.print(answer.sentence, markup=False)
    rows = make_table("", "rule", "level", "who", "outcome", "why", right=("level",))
    for each in answer.derivations:
        outcome = reward_pb2.Outcome.Name(each.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
        rows.add_row(
            each.rule_id, str(each.level), each.beneficiary_id, outcome, "\n".join([each.sentence, *each.steps])
        )
    out.print(rows)
