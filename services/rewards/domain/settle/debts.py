"""What is taken back of value that was used already."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.rewards.domain.ledger import Place, Transfer
from services.rewards.domain.settle.settlement import Clawback, same_position

Wallet = tuple[str, str, str]
"""(program, participant, asset)."""


def spent_from(clawbacks: Iterable[Clawback]) -> set[tuple[str, str]]:
    """(program, participant) of the wallets that something available is taken out of."""
    return {
        (each.program_id, each.participant_id)
        for clawback in clawbacks
        for each in clawback.transfers
        if each.debit is Place.AVAILABLE
    }


def owing(clawbacks: Iterable[Clawback], available: Mapping[Wallet, int]) -> list[Clawback]:
    """The same, but what is not there any more is taken from DEBT: the participant owes it. In the order of `clawbacks`."""
    left = dict(available)
    return [replace(each, transfers=tuple(_split(each, left))) for each in clawbacks]


def _split(clawback: Clawback, left: dict[Wallet, int]) -> Iterable[Transfer]:
    for each in clawback.transfers:
        if each.debit is not Place.AVAILABLE:
            yield each
            continue
        wallet = (each.program_id, each.participant_id, each.asset)
        there = min(max(left.get(wallet, 0), 0), each.amount_minor)
        left[wallet] = left.get(wallet, 0) - there
        if there:
            yield each._replace(amount_minor=there)
        if owed := each.amount_minor - there:
            transfer_id = same_position(clawback.reversal, "debt", each.transfer_id)
            yield each._replace(transfer_id=transfer_id, debit=Place.DEBT, amount_minor=owed)
