"""Wallets and payouts in plain integers: what the service must agree with."""

from dataclasses import dataclass, field

POINTS, USD = "points", "USD"
ORDER_CENTS = 1_000
SHARE = {POINTS: 50, USD: 100}
"""Percent of an order that each pays; a point is a cent."""
MUG = 300
SMALLEST = 500


def net(amount: int) -> int:
    """The part of a payout that reaches the participant: the fee of 0.30 and half a percent, rounded up, does not."""
    return amount - 30 - -(-amount // 200)


@dataclass
class Wallet:
    """One participant's, by asset."""

    available: dict[str, int] = field(default_factory=lambda: {POINTS: 0, USD: 0})
    reserved: dict[str, int] = field(default_factory=lambda: {POINTS: 0, USD: 0})
    debt: dict[str, int] = field(default_factory=lambda: {POINTS: 0, USD: 0})

    def put(self, asset: str, amount: int) -> None:
        """Makes something available; debts are settled first."""
        settled = min(amount, self.debt[asset])
        self.debt[asset] -= settled
        self.available[asset] += amount - settled

    def take_back(self, asset: str, amount: int) -> None:
        """Value that is not there any more is owed."""
        there = min(self.available[asset], amount)
        self.available[asset] -= there
        self.debt[asset] += amount - there

    def take(self, asset: str, amount: int) -> bool:
        """Takes something that is there."""
        if self.available[asset] < amount:
            return False
        self.available[asset] -= amount
        return True

    def balance(self, asset: str) -> tuple[int, int, int, int]:
        """(held, available, reserved, debt)."""
        return 0, self.available[asset], self.reserved[asset], self.debt[asset]


@dataclass
class Claim:
    """A redemption or a payout."""

    owner: str
    asset: str
    amount: int
    state: str
    used: int = 0
    back: int = 0
    attempts: int = 0


@dataclass
class Model:
    """A program whose buyers get a point a cent, and whose sponsors get a tenth in money."""

    wallets: dict[str, Wallet]
    orders: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """(buyer, sponsor, what is left)."""
    redemptions: dict[str, Claim] = field(default_factory=dict)
    payouts: dict[str, Claim] = field(default_factory=dict)

    def order(self, name: str, buyer: str, sponsor: str, cents: int) -> None:
        """Somebody buys."""
        self.orders[name] = (buyer, sponsor, cents)
        self.wallets[buyer].put(POINTS, cents)
        self.wallets[sponsor].put(USD, cents // 10)

    def take_back(self, name: str, cents: int) -> None:
        """An order comes back, in part or whole."""
        buyer, sponsor, left = self.orders[name]
        self.orders[name] = (buyer, sponsor, left - cents)
        self.wallets[buyer].take_back(POINTS, cents)
        self.wallets[sponsor].take_back(USD, left // 10 - (left - cents) // 10)

    def authorize(self, name: str, owner: str, asset: str, amount: int) -> str:
        """Sets something aside for an order of its own; returns the reason of a refusal, empty for none."""
        if amount * 100 > SHARE[asset] * ORDER_CENTS:
            return "ABOVE_SPENDING_LIMIT"
        if not self.wallets[owner].take(asset, amount):
            return "INSUFFICIENT_BALANCE"
        self.wallets[owner].reserved[asset] += amount
        self.redemptions[name] = Claim(owner, asset, amount, "authorized")
        return ""

    def capture(self, name: str, amount: int | None) -> str:
        """Spends it, or less."""
        claim = self.redemptions[name]
        amount = claim.amount if amount is None else amount
        if claim.state == "captured" and claim.used == amount:
            return ""
        if claim.state != "authorized":
            return "REDEMPTION_NOT_AUTHORIZED"
        if amount > claim.amount:
            return "ABOVE_AUTHORIZATION"
        self.wallets[claim.owner].reserved[claim.asset] -= claim.amount
        self.wallets[claim.owner].put(claim.asset, claim.amount - amount)
        claim.state, claim.used = "captured", amount
        return ""

    def void(self, name: str) -> str:
        """Gives it back."""
        claim = self.redemptions[name]
        if claim.state == "captured":
            return "REDEMPTION_CAPTURED"
        if claim.state == "authorized":
            self.wallets[claim.owner].reserved[claim.asset] -= claim.amount
            self.wallets[claim.owner].put(claim.asset, claim.amount)
        claim.state = "voided"
        return ""

    def refund(self, name: str, amount: int | None) -> str:
        """Gives back what was spent, or a part of it."""
        claim = self.redemptions[name]
        if claim.state != "captured":
            return "REDEMPTION_NOT_CAPTURED"
        amount = claim.used - claim.back if amount is None else amount
        if not 0 < amount <= claim.used - claim.back:
            return "ABOVE_CAPTURE"
        claim.back += amount
        self.wallets[claim.owner].put(claim.asset, amount)
        return ""

    def spend(self, owner: str, asset: str, amount: int) -> str:
        """Uses something at once."""
        return "" if self.wallets[owner].take(asset, amount) else "INSUFFICIENT_BALANCE"

    def ask(self, name: str, owner: str, amount: int) -> str:
        """Asks for a payout in money."""
        if amount < SMALLEST:
            return "BELOW_MINIMUM"
        if not self.wallets[owner].take(USD, amount):
            return "INSUFFICIENT_BALANCE"
        self.wallets[owner].reserved[USD] += amount
        self.payouts[name] = Claim(owner, USD, amount, "requested")
        return ""

    def approve(self, name: str) -> str:
        """Lets it go on."""
        claim = self.payouts[name]
        if claim.state in ("rejected", "cancelled"):
            return "PAYOUT_ENDED"
        if claim.state == "requested":
            claim.state = "approved"
        return ""

    def reject(self, name: str) -> str:
        """Says no."""
        claim = self.payouts[name]
        if claim.state == "requested" or (claim.state == "approved" and not claim.attempts):
            self._give_back(claim)
            claim.state = "rejected"
        return "" if claim.state == "rejected" else "PAYOUT_ON_ITS_WAY"

    def batch(self) -> list[str]:
        """Hands over what waits."""
        handed = sorted(name for name, claim in self.payouts.items() if claim.state == "approved")
        for name in handed:
            self.payouts[name].state = "sent"
            self.payouts[name].attempts += 1
        return handed

    def report(self, name: str, said: str) -> str:
        """Reports what the provider said: `paid`, `failed` or `bounced`."""
        claim = self.payouts[name]
        if not claim.attempts:
            return "PAYOUT_NOT_SENT"
        if claim.state == "paid" and said == "bounced":
            self.wallets[claim.owner].put(USD, net(claim.amount))
            claim.state = "bounced"
        elif claim.state != "sent":
            known = {"paid": ("paid",), "bounced": ("paid", "bounced")}.get(claim.state, ("failed",))
            return "" if said in known else "ANSWERED_BEFORE"
        elif said == "bounced":
            return "PAYOUT_NOT_PAID"
        else:
            claim.state = said
            if said == "paid":
                self.wallets[claim.owner].reserved[USD] -= claim.amount
        return ""

    def retry(self, name: str) -> str:
        """Once more."""
        claim = self.payouts[name]
        if claim.state != "failed":
            return "PAYOUT_NOT_FAILED"
        claim.state = "approved"
        return ""

    def cancel(self, name: str) -> str:
        """Gives it up."""
        claim = self.payouts[name]
        if claim.state == "failed":
            self._give_back(claim)
            claim.state = "cancelled"
        return "" if claim.state == "cancelled" else "PAYOUT_NOT_FAILED"

    def _give_back(self, claim: Claim) -> None:
        self.wallets[claim.owner].reserved[claim.asset] -= claim.amount
        self.wallets[claim.owner].put(claim.asset, claim.amount)
