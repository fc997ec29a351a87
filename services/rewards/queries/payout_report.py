"""The settlement report: what was accrued, released, reversed, redeemed, paid and expired in a period, and that it adds up."""

import csv
import io
from collections.abc import Iterable, Mapping

from upline.rewards.v1 import payout_pb2

from chassis.errors import invalid
from chassis.times import to_datetime
from services.rewards.domain.explain.numbers import minor_text
from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.queries.wallets import asset_digits
from services.rewards.store import payout_report, reading

HEADER = ("asset", "part", "name", "opening", "in", "out", "closing", "transfers", "amount")


async def get_settlement_report(
    deps: QueryDeps, request: payout_pb2.GetSettlementReportRequest
) -> payout_pb2.GetSettlementReportResponse:
    """One period of one program, on one snapshot."""
    try:
        start, end = to_datetime(request.start_time), to_datetime(request.end_time)
    except ValueError as error:
        raise invalid("start_time", str(error)) from error
    if start >= end:
        raise invalid("end_time", "must be after start_time")
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        versions = await require_plans(deps, conn, request.program_id)
        accounts = await payout_report.accounts(conn, request.program_id, start, end)
        kinds = await payout_report.kinds(conn, request.program_id, start, end)
    assets: dict[str, payout_pb2.AssetSettlement] = {}
    for row in accounts:
        asset = assets.setdefault(row.asset, payout_pb2.AssetSettlement(asset=row.asset))
        asset.accounts.add(
            account=AccountKind(row.place).name.lower(),
            opening_minor=int(row.opening_minor),
            in_minor=int(row.in_minor),
            out_minor=int(row.out_minor),
            closing_minor=int(row.closing_minor),
        )
    for row in kinds:
        assets[row.asset].kinds.add(
            kind=TransferKind(row.kind).name.lower(),
            transfer_count=row.transfer_count,
            amount_minor=int(row.amount_minor),
        )
    return payout_pb2.GetSettlementReportResponse(
        assets=assets.values(), csv=report_csv(assets.values(), asset_digits(versions))
    )


def report_csv(assets: Iterable[payout_pb2.AssetSettlement], digits: Mapping[str, int]) -> str:
    """A line for each account and kind; amounts in whole units with decimals."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(HEADER)
    for asset in assets:
        places = digits.get(asset.asset, 0)
        for account in asset.accounts:
            amounts = (account.opening_minor, account.in_minor, account.out_minor, account.closing_minor)
            told = (minor_text(each, places) for each in amounts)
            writer.writerow((asset.asset, "account", account.account, *told, "", ""))
        for kind in asset.kinds:
            total = minor_text(kind.amount_minor, places)
            writer.writerow((asset.asset, "kind", kind.kind, "", "", "", "", kind.transfer_count, total))
    return lines.getvalue()
