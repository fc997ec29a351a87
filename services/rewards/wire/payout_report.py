"""The payout report out: a message and a file."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime

from upline.rewards.v1 import payout_pb2

from chassis.errors import invalid
from chassis.times import to_datetime
from services.rewards.domain.explain.numbers import minor_text
from services.rewards.domain.wallet.payout_report import AssetReport

HEADER = ("asset", "part", "name", "opening", "in", "out", "closing", "transfers", "amount")


def read_report_period(request: payout_pb2.GetSettlementReportRequest) -> tuple[datetime, datetime]:
    """The period from its start (inclusive) to its end. INVALID_ARGUMENT for one that ends before it begins."""
    try:
        start, end = to_datetime(request.start_time), to_datetime(request.end_time)
    except ValueError as error:
        raise invalid("start_time", str(error)) from error
    if start >= end:
        raise invalid("end_time", "must be after start_time")
    return start, end


def report_message(report: AssetReport) -> payout_pb2.AssetSettlement:
    """The part of a report that is about one asset, for the caller."""
    return payout_pb2.AssetSettlement(
        asset=report.asset,
        accounts=[
            payout_pb2.AccountMovement(
                account=each.kind.name.lower(),
                opening_minor=each.opening_minor,
                in_minor=each.in_minor,
                out_minor=each.out_minor,
                closing_minor=each.closing_minor,
            )
            for each in report.accounts
        ],
        kinds=[
            payout_pb2.KindTotal(
                kind=each.kind.name.lower(), transfer_count=each.transfer_count, amount_minor=each.amount_minor
            )
            for each in report.transfers
        ],
    )


def report_csv(reports: Iterable[AssetReport], digits: Mapping[str, int]) -> str:
    """A line for each account and kind of transfer; amounts in whole units with decimals."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(HEADER)
    for report in reports:
        places = digits.get(report.asset, 0)
        for account in report.accounts:
            amounts = (account.opening_minor, account.in_minor, account.out_minor, account.closing_minor)
            texts = (minor_text(each, places) for each in amounts)
            writer.writerow((report.asset, "account", account.kind.name.lower(), *texts, "", ""))
        for transfers in report.transfers:
            total = minor_text(transfers.amount_minor, places)
            name = transfers.kind.name.lower()
            writer.writerow((report.asset, "kind", name, "", "", "", "", transfers.transfer_count, total))
    return lines.getvalue()
