"""Wallets and statements."""

from typing import Any

from upline.rewards.v1 import wallet_pb2

from chassis.errors import invalid
from chassis.ids import id_time
from chassis.pages import page_size
from chassis.times import to_datetime, to_timestamp
from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import reading


async def get_wallet(deps: QueryDeps, request: wallet_pb2.GetWalletRequest) -> wallet_pb2.GetWalletResponse:
    """A participant's balances, one for every asset he can have or has; at a past time, what had moved until then."""
    try:
        moment = to_datetime(request.at_time) if request.HasField("at_time") else None
    except ValueError as error:
        raise invalid("at_time", str(error)) from error
    async with deps.database.transaction() as conn:
        versions = await require_plans(deps, conn, request.program_id)
        if moment is None:
            found = await reading.balances(conn, request.program_id, request.participant_id)
        else:
            found = await reading.balances_at(conn, request.program_id, request.participant_id, moment)
    return wallet_pb2.GetWalletResponse(
        balances=[
            wallet_pb2.Balance(
                asset=code,
                minor_digits=digits,
                held_minor=found.get((code, AccountKind.HELD), 0),
                available_minor=found.get((code, AccountKind.AVAILABLE), 0),
                reserved_minor=found.get((code, AccountKind.RESERVED), 0),
                debt_minor=-found.get((code, AccountKind.DEBT), 0),
            )
            for code, digits in versions.asset_digits.items()
        ]
    )


async def list_transfers(deps: QueryDeps, request: wallet_pb2.ListTransfersRequest) -> wallet_pb2.ListTransfersResponse:
    """A participant's transfers, newest first."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    async with deps.database.transaction() as conn:
        await require_plans(deps, conn, request.program_id)
        rows = await reading.transfers(
            conn, request.program_id, request.participant_id, position[0] if position else reading.LAST_ID, size + 1
        )
    transfers, token = deps.pager.page(request, rows, size, _transfer_message, lambda last: [last.transfer_id.hex])
    return wallet_pb2.ListTransfersResponse(transfers=transfers, next_page_token=token)


def _transfer_message(row: Any) -> wallet_pb2.Transfer:
    return wallet_pb2.Transfer(
        transfer_id=row.transfer_id.hex,
        kind=row.kind,
        debit_account=account_name(row.debit, row.participant_id),
        credit_account=account_name(row.credit, row.recipient_id or row.participant_id),
        asset=row.asset,
        amount_minor=row.amount_minor,
        reward_id=row.reward_id.hex if row.reward_id else "",
        cause_id=row.cause_id,
        create_time=to_timestamp(id_time(row.transfer_id)),
    )


def account_name(place: int, participant_id: str) -> str:
    """`issuance` and the like, or `held:` and the like and the participant."""
    name = AccountKind(place).name.lower()
    return f"{name}:{participant_id}" if place in PARTICIPANT_ACCOUNT_KINDS else name
