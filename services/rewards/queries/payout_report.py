"""The payout report: what a program's accounts held, received and gave in a period, and that it adds up."""

from collections.abc import Mapping
from datetime import datetime

from services.rewards.domain.wallet.payout_report import AssetReport, asset_reports
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import payout_report
from services.rewards.store.view import on_one_snapshot


async def get_payout_report(
    deps: QueryDeps, program_id: str, start: datetime, end: datetime
) -> tuple[list[AssetReport], Mapping[str, int]]:
    """One period of one program, on one snapshot: (the report by asset, decimal places by asset)."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        versions = await require_plans(deps, conn, program_id)
        accounts = await payout_report.account_changes(conn, program_id, start, end)
        transfers = await payout_report.transfer_totals(conn, program_id, start, end)
    return asset_reports(accounts, transfers), versions.asset_digits
