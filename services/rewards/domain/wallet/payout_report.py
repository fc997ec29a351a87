"""The payout report: how a program's accounts changed in a period, and which transfers changed them."""

from collections.abc import Sequence
from typing import NamedTuple

from services.rewards.domain.ledger import AccountKind, TransferKind


class AccountChange(NamedTuple):
    """The accounts of one kind and asset at the beginning and the end of a period, and what reached and left them."""

    asset: str
    kind: AccountKind
    opening_minor: int
    in_minor: int
    out_minor: int
    closing_minor: int


class TransferTotal(NamedTuple):
    """The transfers of one kind and asset within a period."""

    asset: str
    kind: TransferKind
    transfer_count: int
    amount_minor: int


class AssetReport(NamedTuple):
    """The part of a report that is about one asset."""

    asset: str
    accounts: Sequence[AccountChange]
    transfers: Sequence[TransferTotal]


def asset_reports(accounts: Sequence[AccountChange], transfers: Sequence[TransferTotal]) -> list[AssetReport]:
    """A report by asset, in the order in which the accounts name them."""
    return [
        AssetReport(
            asset,
            [each for each in accounts if each.asset == asset],
            [each for each in transfers if each.asset == asset],
        )
        for asset in dict.fromkeys(each.asset for each in accounts)
    ]
