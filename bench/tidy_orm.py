"""The payout as a tidy application would write it: SQLAlchemy's ORM, one transaction an event, a row for each balance.

It does the same as the engine for a new conversion, in tables of its own, and nothing clumsily: one session, flushes in
bulk, wallets locked in order by one SELECT … FOR UPDATE.
"""

from uuid import UUID, uuid4

from sqlalchemy import BigInteger, LargeBinary, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from upline.attribution.v1 import events_pb2

from chassis.database import driver_url

PERCENTS = (5, 3, 2, 1, 1, 1, 1, 1, 1, 1)


class TidyBase(DeclarativeBase):
    """Tables of the comparison."""


class TidyOrder(TidyBase):
    """A conversion; its key is the inbox."""

    __tablename__ = "tidy_order"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    event: Mapped[bytes] = mapped_column(LargeBinary)


class TidyWallet(TidyBase):
    """The balance of one participant."""

    __tablename__ = "tidy_wallet"
    participant_id: Mapped[str] = mapped_column(primary_key=True)
    available_minor: Mapped[int] = mapped_column(BigInteger)


class TidyReward(TidyBase):
    """A reward of one level."""

    __tablename__ = "tidy_reward"
    reward_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[str] = mapped_column(index=True)
    participant_id: Mapped[str] = mapped_column(index=True)
    level: Mapped[int]
    amount_minor: Mapped[int] = mapped_column(BigInteger)


class TidyTransfer(TidyBase):
    """A transfer between two accounts."""

    __tablename__ = "tidy_transfer"
    transfer_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    reward_id: Mapped[UUID]
    debit: Mapped[str]
    credit: Mapped[str] = mapped_column(index=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)


class TidyOutbox(TidyBase):
    """An event to be published."""

    __tablename__ = "tidy_outbox"
    outbox_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    payload: Mapped[bytes] = mapped_column(LargeBinary)


class TidyPayouts:
    """Settles one event a transaction."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(driver_url(url))
        TidyBase.metadata.create_all(self._engine)

    def settle(self, event: events_pb2.ConversionEvent) -> None:
        """Pays one conversion, once."""
        conversion = event.recorded.conversion
        order_id = conversion.draft.conversion_id
        with Session(self._engine) as session, session.begin():
            if session.get(TidyOrder, order_id) is not None:
                return
            amount_minor = conversion.draft.amount.amount_minor
            session.add(TidyOrder(order_id=order_id, amount_minor=amount_minor, event=event.SerializeToString()))
            names = [each.participant_id for each in event.recorded.upline]
            found = select(TidyWallet).where(TidyWallet.participant_id.in_(names)).order_by(TidyWallet.participant_id)
            wallets = {each.participant_id: each for each in session.scalars(found.with_for_update())}
            for level, (name, percent) in enumerate(zip(names, PERCENTS, strict=True), start=1):
                if name not in wallets:
                    wallets[name] = TidyWallet(participant_id=name, available_minor=0)
                    session.add(wallets[name])
                share_minor = amount_minor * percent // 100
                reward = TidyReward(
                    reward_id=uuid4(), order_id=order_id, participant_id=name, level=level, amount_minor=share_minor
                )
                session.add(reward)
                session.add(
                    TidyTransfer(
                        reward_id=reward.reward_id,
                        debit="issuance",
                        credit=f"available:{name}",
                        amount_minor=share_minor,
                    )
                )
                wallets[name].available_minor += share_minor
            session.add(TidyOutbox(payload=event.SerializeToString()))

    def close(self) -> None:
        """Closes the connections to the database."""
        self._engine.dispose()
