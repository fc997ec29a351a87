"""A scenario while it is played: all it has made so far, and how its names and amounts become those of the services."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import count
from uuid import uuid4

from upline.type.v1.money_pb2 import Money

from cli.client import Client
from cli.scenario.load import ScenarioFile


@dataclass(slots=True)
class ScenarioRun:
    """One scenario while it is played."""

    client: Client
    scenario_file: ScenarioFile
    program_id: str
    now: datetime
    links: dict[str, str] = field(default_factory=dict)
    """The ids of links by their names in the file."""
    click_tokens: dict[str, str] = field(default_factory=dict)
    """The tokens of clicks by their names in the file."""
    redemption_assets: dict[str, str] = field(default_factory=dict)
    """The asset of each redemption."""
    numbers: Iterator[int] = field(default_factory=partial(count, 1))
    seen: dict[str, int] = field(default_factory=dict)
    """The number of entries of each person's inbox that were compared already."""

    @property
    def currency(self) -> str:
        """The program's currency."""
        return self.scenario_file.program.program.currency_code

    def to_minor(self, asset: str, amount: Decimal) -> int:
        """An amount in minor units; the file was checked for decimals that the asset does not have."""
        return int(amount.scaleb(self.scenario_file.digits[asset]))

    def to_whole(self, asset: str, minor: int) -> Decimal:
        """An amount of minor units as people write it."""
        digits = self.scenario_file.digits.get(asset, 0)
        return Decimal(minor).scaleb(-digits) if digits else Decimal(minor)

    def money(self, amount: Decimal) -> Money:
        """An amount in the program's currency."""
        return Money(currency_code=self.currency, amount_minor=self.to_minor(self.currency, amount))

    def new_name(self, kind: str) -> str:
        """A new name for something that the file does not name."""
        return f"{kind}-{next(self.numbers)}"

    def request_id(self) -> str:
        """A new request id: every step is asked for once."""
        return uuid4().hex
