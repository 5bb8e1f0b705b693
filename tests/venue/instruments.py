"""What is traded at the venue: instruments of every kind, in an exchange's own units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

DAY = 86_400_000
LEVELS = {
    "BTC": 60_000.0,
    "ETH": 3_000.0,
    "SOL": 150.0,
    "XRP": 0.55,
    "DOGE": 0.12,
    "USDT": 1.0,
    "USDC": 1.0,
    "USD": 1.0,
}
"""About what a coin costs in dollars; its path wanders around this."""


TOUCH = 10_000
"""About what the public offers at the best price, in dollars; twice that at the next, and so on."""


class Kind(StrEnum):
    """How an instrument is settled."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class Tier(NamedTuple):
    """Up to a size of `cap` a position may have that `leverage`, and its maintenance margin has that `rate`."""

    cap: Decimal
    rate: Decimal
    leverage: Decimal


class Tiers(NamedTuple):
    """The margin tiers of a contract, ascending; the last one holds for everything above it.

    `cap` counts the worth of a position in the coin of settlement, or its amount if `by_amount`. If `sliced`, each
    slice of a position has the rate of its own tier, else the whole position has that of the tier it is in.
    """

    steps: tuple[Tier, ...]
    sliced: bool = False
    by_amount: bool = False

    def maintenance(self, amount: Decimal, value: Decimal) -> Decimal:
        """The maintenance margin of a position of that amount and worth, in the coin of settlement."""
        rate, deduction = self.at(amount if self.by_amount else value)
        return value * rate - deduction

    def at(self, size: Decimal) -> tuple[Decimal, Decimal]:
        """The rate at a size, and what is deducted for the slices below."""
        deduction, below = Decimal(0), None
        for step in self.steps:
            if below is not None and self.sliced:
                deduction += below.cap * (step.rate - below.rate)
            if size <= step.cap:
                return step.rate, deduction
            below = step
        return self.steps[-1].rate, deduction


def even(cap: int, rate: str, leverage: int, levels: tuple[int, ...] = (1, 2, 3)) -> tuple[Tier, ...]:
    """Tiers of which each has so many times the size and the rate of the first, and its part of the leverage."""
    return tuple(Tier(Decimal(cap * n), Decimal(rate) * n, Decimal(leverage) / n) for n in levels)


FLAT = Tiers((Tier(Decimal("Infinity"), Decimal("0.005"), Decimal(125)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One instrument as one exchange lists it; amounts are in the exchange's own units.

    `contract` is what one unit of amount stands for: base coins, or, for an inverse contract, its face value in
    quote. A `coin_sized` inverse contract is counted in base coins, so that its face depends on the price.
    """

    id: str
    kind: Kind
    base: str
    quote: str
    settle: str
    tick: Decimal
    step: Decimal
    min_amount: Decimal
    max_amount: Decimal
    min_cost: Decimal = Decimal(0)
    contract: Decimal = Decimal(1)
    coin_sized: bool = False
    expiry: int | None = None
    strike: Decimal | None = None
    call: bool = True
    listed: int = 1_577_836_800_000  # 2020-01-01
    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.0005")
    max_leverage: int = 100
    funding_hours: int = 8
    tiers: Tiers = FLAT

    def __hash__(self) -> int:
        """By its name: hashing every field takes long."""
        return hash((self.kind, self.id))

    @property
    def depth(self) -> Decimal:
        """What the public offers at the best price, a multiple of the step worth about `TOUCH` dollars.

        Of an option, whose premium is a small part of its underlying, twenty times as much underlying.
        """
        face = self.kind is Kind.INVERSE and not self.coin_sized
        worth = self.step * self.contract * Decimal(str(LEVELS[self.quote if face else self.base]))
        return self.step * max(round((20 if self.kind is Kind.OPTION else 1) * TOUCH / worth), 1)

    @property
    def perpetual(self) -> bool:
        """Whether it pays funding."""
        return self.kind in {Kind.LINEAR, Kind.INVERSE} and self.expiry is None

    @property
    def margined(self) -> bool:
        """Whether positions in it are held on margin."""
        return self.kind in {Kind.LINEAR, Kind.INVERSE}

    def notional(self, amount: Decimal, price: Decimal) -> Decimal:
        """What `amount` is worth in quote at `price`."""
        if self.kind is Kind.INVERSE and not self.coin_sized:
            return amount * self.contract
        return amount * self.contract * price

    def value(self, amount: Decimal, price: Decimal) -> Decimal:
        """What `amount` is worth in the coin of settlement at `price`."""
        notional = self.notional(amount, price)
        return notional / price if self.kind is Kind.INVERSE else notional

    def profit(self, amount: Decimal, entry: Decimal, price: Decimal) -> Decimal:
        """What a position of the signed `amount` has gained between two prices, in the coin of settlement."""
        if self.kind is Kind.INVERSE:
            return self.notional(amount, entry) * (1 / entry - 1 / price)
        return amount * self.contract * (price - entry)

    def average(self, held: Decimal, entry: Decimal, added: Decimal, price: Decimal) -> Decimal:
        """The entry price of `held` at `entry` with `added` at `price`; the harmonic mean if face is fixed."""
        if self.kind is Kind.INVERSE and not self.coin_sized:
            return (held + added) / (held / entry + added / price)
        return (held * entry + added * price) / (held + added)


def text(number: Decimal | float, unit: Decimal | None = None) -> str:
    """Write `number` without exponent: with the decimals of `unit`, or as short as it is."""
    value = number if isinstance(number, Decimal) else Decimal(str(number))
    if unit is not None:
        return f"{value:.{decimals_of(unit)}f}"
    short = f"{value:f}"
    return short.rstrip("0").rstrip(".") if "." in short else short


def fixed(number: Decimal | float, decimals: int = 8) -> str:
    """Write `number` with a count of decimals."""
    return f"{number:.{decimals}f}"


def decimals_of(unit: Decimal) -> int:
    """How many decimals a multiple of `unit` has."""
    exponent = unit.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def quarters(now: int, count: int = 2) -> list[int]:
    """The next quarterly expiries, ms: 08:00 UTC of a quarter's last Friday, a fortnight away at least."""
    found: list[int] = []
    day = datetime.fromtimestamp(now / 1000, UTC)
    year, month = day.year, (day.month + 2) // 3 * 3
    while len(found) < count:
        first = datetime(year + month // 12, month % 12 + 1, 1, 8, tzinfo=UTC)
        last = first - timedelta(days=1)
        friday = last - timedelta(days=(last.weekday() - 4) % 7)
        if (expiry := int(friday.timestamp() * 1000)) > now + 14 * DAY:
            found.append(expiry)
        month, year = (month + 3, year) if month < 12 else (3, year + 1)
    return found


def day_code(expiry: int, form: str = "%y%m%d") -> str:
    """An expiry as it stands in an instrument's name."""
    return datetime.fromtimestamp(expiry / 1000, UTC).strftime(form).upper()


def strikes(base: str) -> tuple[Decimal, Decimal]:
    """Two strikes of options on `base`, below and above its level."""
    level = Decimal(str(LEVELS[base]))
    return level * Decimal("0.9"), level * Decimal("1.1")
