"""Wallets and statements."""

from upline.rewards.v1 import wallet_pb2

from chassis.ids import id_time
from chassis.pages import page_size
from chassis.times import to_timestamp
from services.rewards.domain.ledger import Place
from services.rewards.domain.plan import Plan
from services.rewards.queries.deps import QueryDeps, require_plans
from services.rewards.store import reading


async def get_wallet(deps: QueryDeps, request: wallet_pb2.GetWalletRequest) -> wallet_pb2.GetWalletResponse:
    """A participant's balances, one for every asset he can have or has."""
    async with deps.database.transaction() as conn:
        versions = await require_plans(deps, conn, request.program_id)
        found = await reading.balances(conn, request.program_id, request.participant_id)
    return wallet_pb2.GetWalletResponse(
        balances=[
            wallet_pb2.Balance(
                asset=code,
                minor_digits=digits,
                held_minor=found.get((code, Place.HELD), 0),
                available_minor=found.get((code, Place.AVAILABLE), 0),
            )
            for code, digits in asset_digits(versions).items()
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
    token = deps.pager.token(request, [rows[size - 1].transfer_id.hex]) if len(rows) > size else ""
    return wallet_pb2.ListTransfersResponse(
        transfers=[
            wallet_pb2.Transfer(
                transfer_id=row.transfer_id.hex,
                kind=row.kind,
                debit_account=account_name(row.debit, request.participant_id),
                credit_account=account_name(row.credit, request.participant_id),
                asset=row.asset,
                amount_minor=row.amount_minor,
                reward_id=row.reward_id.hex,
                cause_id=row.cause_id,
                create_time=to_timestamp(id_time(row.transfer_id)),
            )
            for row in rows[:size]
        ],
        next_page_token=token,
    )


def account_name(place: int, participant_id: str) -> str:
    """`issuance`, or `held:` or `available:` and the participant."""
    name = Place(place).name.lower()
    return name if place == Place.ISSUANCE else f"{name}:{participant_id}"


def asset_digits(versions: tuple[Plan, ...]) -> dict[str, int]:
    """Decimal places of every asset of any version, those of the newest version first."""
    digits: dict[str, int] = {}
    for plan in reversed(versions):
        for asset in plan.assets:
            digits.setdefault(asset.code, asset.digits)
    return digits
