"""The embedded exchange: synthetic candles for any symbol, and one recorded series (BTC/USD spot, Coinbase).

Synthetic prices are a function of (symbol, minute) alone. Each currency has a daily path in US dollars: GARCH(1,1)
volatility (Bollerslev 1986) with Student's t shocks, partly shared by all currencies, drifting in regimes of weeks
and pulled back to a slow trend. Each day is a Brownian bridge of 1,440 minutes between two of its daily points,
drawn from a counter-based generator keyed by (currency, day). So any span can be asked for, in any order, and
every timeframe is a resample of the same minutes. Perpetual contracts have mark and index prices from the same
paths, and funding every eight hours.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from ..bars import empty, frame, resample, times
from ..errors import ConfigError, DataError
from ..models import ContractType, Market, MarketType
from ..series import Kind, build, parse_name
from ..timeframe import DAY_MS, TIMEFRAMES, floor, parse
from .symbols import STABLE, Parsed, expiry_ms, parse_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pandas as pd

    type Floats = npt.NDArray[np.float64]

__all__ = ["MINUTE_MS", "SEED", "Demo", "decimals_of", "generator", "seed_of", "volume_decimals"]

SEED = 1
"""What all synthetic prices grow from; another one gives other prices."""
SYNTHETIC = "synthetic (seeded random walk, not market data)"
RECORDED = "Coinbase BTC/USD 1h, recorded 2017-07 to 2019-10"

_FIRST_DAY = 16_436  # 2015-01-01, in days since the epoch
_LAST_DAY = 25_567  # 2040-01-01, exclusive
_TREND_DAY = 19_905  # 2024-07-01: the day on which the trend passes through a currency's level
_DEFAULT_SPAN = (19_723 * DAY_MS, 20_089 * DAY_MS)  # the calendar year 2024
_MINUTES = 1440
MINUTE_MS = 60_000
_CHUNK_DAYS = 61
_ANNUAL_TREND = 0.25  # of the log price
_LISTED_DAYS = 180  # how long before its expiry a dated contract begins to trade

_FUNDING_MS = 8 * 3_600_000
_INTEREST = 1e-4  # what a contract that stands at its index costs each interval
_PREMIUM_SHARE = {Kind.CANDLES: 1.0, Kind.MARK: 0.5, Kind.INDEX: 0.0}  # of a contract's premium over spot
_WICK_SHARE = {Kind.CANDLES: 1.0, Kind.MARK: 0.5, Kind.INDEX: 0.5}  # lone trades far off don't move a mark price

_SPOT_FEE = (0.001, 0.001)
_FUTURES_FEE = (0.0002, 0.0005)
_OPTION_FEE = (0.0003, 0.0003)
_OPTION_VOLATILITY = 0.6
_BASE_DECIMALS = 8  # of the volume of inverse contracts, whose quantity counts in quote

_LEVELS = {
    "BTC": (60_000.0, 0.55),
    "ETH": (3_000.0, 0.7),
    "BNB": (500.0, 0.65),
    "SOL": (150.0, 0.95),
    "XRP": (0.55, 0.85),
    "DOGE": (0.12, 0.95),
    "ADA": (0.45, 0.85),
    "AVAX": (30.0, 0.95),
    "LINK": (14.0, 0.85),
    "LTC": (75.0, 0.75),
    "DOT": (6.5, 0.85),
    "TRX": (0.13, 0.6),
    "BCH": (400.0, 0.8),
    "NEAR": (5.5, 1.0),
    "ATOM": (7.0, 0.9),
    "EUR": (1.08, 0.08),
    "GBP": (1.27, 0.09),
}
"""Price in US dollars in mid-2024 and yearly volatility, about as in the real market."""

_NOTIONAL = {"BTC": 2e9, "ETH": 1e9}  # traded a day on spot, in US dollars
_NOTIONAL_OTHERS = 2e8
_EXPIRIES = {"241227": (0.8, 1.0, 1.2), "250328": (0.8, 1.0, 1.2)}  # listed options: expiry -> strikes / level


@dataclass(frozen=True, slots=True)
class _Path:
    """A currency's n days from _FIRST_DAY on: log price in USD at 00:00 (n + 1), volatility and jump of each day.

    `premium` (n + 1) is how far, in logs, its contracts stand above spot at each 00:00.
    """

    seed: int
    log_price: Floats
    volatility: Floats
    jump_minute: npt.NDArray[np.int64]
    jump: Floats
    premium: Floats


@dataclass(frozen=True, slots=True)
class _Minutes:
    """Minutes of whole days, flat: log open and close, how far the extremes go beyond them, activity (mean 1)."""

    open: Floats
    close: Floats
    up: Floats
    down: Floats
    activity: Floats


class Demo:
    """The source of the demo exchange's markets and candles; it needs no network, account or file."""

    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}
        self._rates: dict[str, Floats] = {}
        self._sample: pd.DataFrame | None = None

    def markets(self) -> list[Market]:
        """Return the listed markets of every kind; any other symbol that can be read is served as well."""
        bases = [name for name in _LEVELS if name not in ("EUR", "GBP")]
        spot = [*(f"{base}/USDT" for base in bases), "ETH/BTC", "SOL/BTC", "BTC/USD"]
        listed = [_market(parse_symbol(symbol)) for symbol in spot]
        for kind, quote in ((ContractType.LINEAR, "USDT"), (ContractType.INVERSE, "USD")):
            listed += [_market(parse_symbol(base + quote, "futures", kind)) for base in bases]
        for base in ("BTC", "ETH"):
            for expiry, moneyness in _EXPIRIES.items():
                strikes = [f"{_LEVELS[base][0] * part:.0f}" for part in moneyness]
                names = [f"{base}/USDT:USDT-{expiry}-{strike}-{side}" for strike in strikes for side in "CP"]
                listed += [_market(parse_symbol(name, "options")) for name in names]
        return listed

    def market(self, symbol: str, market_type: str, contract_type: str | None) -> Market:
        """Return the market that `symbol` names, made by rule when it is not a listed one.

        Raises:
            ConfigError: `symbol` can't be read, or is another kind of market.
        """
        return _market(parse_symbol(symbol, market_type, contract_type))

    def kinds(self, market: Market) -> tuple[Kind, ...]:
        """Return which series are made of a market: a perpetual has mark and index prices and funding, too."""
        perpetual = market.type is MarketType.FUTURES and market.expiry is None
        return (Kind.CANDLES, *((Kind.MARK, Kind.INDEX, Kind.FUNDING) if perpetual else ()))

    def timeframes(self, market: Market, kind: Kind) -> tuple[str, ...]:
        """Return the timeframes that are made directly; coarser ones are resampled from them."""
        if kind not in self.kinds(market):
            return ()
        return tuple(TIMEFRAMES) if market.synthetic else ("1h",)

    def span(self, market: Market, name: str) -> tuple[int, int]:
        """Return what is served when no span is asked for: the recorded series, or the calendar year 2024."""
        first, last = self.extent(market, name)
        return (max(first, _DEFAULT_SPAN[0]), min(last, _DEFAULT_SPAN[1])) if market.synthetic else (first, last)

    def extent(self, market: Market, name: str) -> tuple[int, int]:
        """Return the first open and the last close that there are, ms UTC."""
        if not market.synthetic:
            time = times(self._recorded())
            return int(time[0]), int(time[-1]) + parse("1h")
        first, last = _FIRST_DAY * DAY_MS, _LAST_DAY * DAY_MS
        length = parse(parse_name(name)[1] or "1m")
        if market.expiry is not None:
            first, last = max(first, market.expiry - _LISTED_DAYS * DAY_MS), min(last, market.expiry)
        return floor(first - 1, length) + length, floor(last, length)

    def fill(self, market: Market, kind: Kind, timeframe: str, start: int | None, end: int | None) -> None:
        """Do nothing: all there is is here."""

    def advice(self, market: Market, kind: Kind) -> str:  # noqa: ARG002 - other sources need it
        """Say of which markets there is something."""
        return f"it has {'none' if kind is Kind.TRADES else 'them of perpetual contracts only'}"

    def source(self, market: Market, name: str) -> str:  # noqa: ARG002 - other sources need it
        """Say plainly whether the prices are synthetic, or where they were recorded."""
        return SYNTHETIC if market.synthetic else RECORDED

    def read(self, market: Market, name: str, start: int, end: int) -> pd.DataFrame:
        """Return the rows with start <= time < end; the same ones whatever the span is."""
        first, last = self.extent(market, name)
        kind, timeframe = parse_name(name)
        if timeframe is None:
            return self._funding(market, max(first, start), min(last, end))
        length = parse(timeframe)
        low = max(first, floor(start - 1, length) + length)
        high = min(last, floor(end - 1, length) + length)
        if not market.synthetic:
            candles = self._recorded()
        elif low < high:
            candles = self._synthetic(market, kind, timeframe, low, high)
        else:
            candles = empty()
        low_row, high_row = times(candles).searchsorted([low, high])
        return candles.iloc[int(low_row) : int(high_row)].copy()

    def _funding(self, market: Market, low: int, high: int) -> pd.DataFrame:
        """Return the rates of the instants (00:00, 08:00, 16:00 UTC) in [low, high)."""
        first, last = (-(-time // _FUNDING_MS) for time in (low, max(low, high)))
        start = _FIRST_DAY * DAY_MS // _FUNDING_MS
        if market.symbol not in self._rates:
            self._rates[market.symbol] = _make_rates(market.symbol, self._path(market.base).premium)
        rates = self._rates[market.symbol][first - start : last - start]
        return build(Kind.FUNDING, np.arange(first, last, dtype=np.int64) * _FUNDING_MS, [rates])

    def _synthetic(self, market: Market, kind: Kind, timeframe: str, low: int, high: int) -> pd.DataFrame:
        import pandas as pd

        inner = timeframe if parse(timeframe) <= DAY_MS else "1d"
        pieces = [
            resample(self._days(market, kind, day, until), inner, source="1m", until=until * DAY_MS)
            for day, until in _chunks(low // DAY_MS, -(-high // DAY_MS))
        ]
        return resample(pd.concat(pieces), timeframe, source=inner, until=high)

    def _days(self, market: Market, kind: Kind, day: int, until: int) -> pd.DataFrame:
        """Make the minutes of the days [day, until), counted from the epoch."""
        price, traded = self._prices(market, kind, day, until)
        time = np.arange(day * _MINUTES, until * _MINUTES, dtype=np.int64) * MINUTE_MS
        volume = np.round(traded / price[3], volume_decimals(market))
        if market.option_type is not None:
            price = _premiums(market, price, time)
        decimals = decimals_of(market.price_tick)
        if kind is not Kind.CANDLES:
            volume, decimals = np.zeros(time.size), decimals + 2  # such prices are computed, finer than any tick
        o, h, low, c = (np.maximum(np.round(p, decimals), market.price_tick) for p in price)
        there = self._running(day, until)
        return frame(time[there], [column[there] for column in (o, h, low, c, volume)])

    def _prices(
        self, market: Market, kind: Kind, day: int, until: int
    ) -> tuple[tuple[Floats, Floats, Floats, Floats], Floats]:
        """Return open, high, low and close of each minute, and the value traded in it, in quote."""
        base, minutes = self._path(market.base), self._minutes(market.base, day, until)
        log_open, log_close, value_of_quote = minutes.open, minutes.close, 1.0
        if market.quote not in STABLE:
            other = self._minutes(market.quote, day, until)
            log_open, log_close = log_open - other.open, log_close - other.close
            value_of_quote = _level(market.quote)[0]
        if not market.is_spot:
            days = np.linspace(day - _FIRST_DAY, until - _FIRST_DAY, (until - day) * _MINUTES + 1)
            premium = np.interp(days, np.arange(base.premium.size), base.premium) * _PREMIUM_SHARE[kind]
            log_open, log_close = log_open + premium[:-1], log_close + premium[1:]
        high = np.maximum(log_open, log_close) + minutes.up * _WICK_SHARE[kind]
        low = np.minimum(log_open, log_close) - minutes.down * _WICK_SHARE[kind]
        share = 1.0 if market.is_spot else 0.001 if market.option_type is not None else 4.0
        traded = (
            _NOTIONAL.get(market.base, _NOTIONAL_OTHERS) * share / _MINUTES / value_of_quote * minutes.activity
        )
        return (np.exp(log_open), np.exp(high), np.exp(low), np.exp(log_close)), traded

    def _recorded(self) -> pd.DataFrame:
        if self._sample is None:
            self._sample = _read_sample()
        return self._sample

    def _path(self, name: str) -> _Path:
        if name not in self._paths:
            self._paths[name] = _make_path(name)
        return self._paths[name]

    def _minutes(self, name: str, day: int, until: int) -> _Minutes:
        """Fill the days [day, until) of a currency with Brownian bridges between its daily points."""
        path, days = self._path(name), slice(day - _FIRST_DAY, until - _FIRST_DAY)
        draws = np.stack([generator(path.seed, n).standard_normal((4, _MINUTES)) for n in range(day, until)])
        weights = _profile()
        sigma = path.volatility[days, None] * np.sqrt(weights)
        steps = sigma * draws[:, 0]
        start, target = path.log_price[days], path.log_price[days.start + 1 : days.stop + 1]
        rest = target - start - path.jump[days] - steps.sum(axis=1)
        steps += weights * rest[:, None]
        jumped = np.where(np.arange(_MINUTES) >= path.jump_minute[days, None], path.jump[days, None], 0.0)
        close = start[:, None] + np.cumsum(steps, axis=1) + jumped
        calm = float(_level(name)[1]) / math.sqrt(365.0)
        busy = (0.4 + 0.75 * np.abs(draws[:, 0])) * np.exp(0.4 * draws[:, 3] - 0.08)
        activity = busy * (weights * _MINUTES) * (path.volatility[days, None] / calm)
        parts = (
            close - steps,
            close,
            0.4 * sigma * np.abs(draws[:, 1]),
            0.4 * sigma * np.abs(draws[:, 2]),
            activity,
        )
        return _Minutes(*(part.ravel() for part in parts))

    def _running(self, day: int, until: int) -> npt.NDArray[np.bool_]:
        """Tell for each minute whether the exchange ran: some days hold hours of maintenance, some a hiccup."""
        rng = generator(seed_of("maintenance"), 0)
        kind, at, lasts = rng.random((3, _LAST_DAY - _FIRST_DAY))[:, day - _FIRST_DAY : until - _FIRST_DAY]
        running = np.ones((until - day, _MINUTES), dtype=np.bool_)
        for n in np.flatnonzero(kind < 0.06):
            long = kind[n] < 0.01
            length = 60 + int(lasts[n] * 240) if long else 1 + int(lasts[n] * 5)
            first = int(at[n] * (_MINUTES - length))
            running[n, first : first + length] = False
        return running.ravel()


def _chunks(day: int, until: int) -> Iterator[tuple[int, int]]:
    """Cut the days [day, until) so that memory stays small however long the span is."""
    for first in range(day, until, _CHUNK_DAYS):
        yield first, min(first + _CHUNK_DAYS, until)


def seed_of(name: str) -> int:
    """What the draws that are called `name` grow from."""
    return int.from_bytes(hashlib.sha256(f"metaexpert demo {SEED} {name}".encode()).digest()[:8])


def generator(seed: int, counter: int) -> np.random.Generator:
    """The draws of (seed, counter): the same whenever they are asked for."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, counter], dtype=np.uint64)))


def _level(name: str) -> tuple[float, float]:
    """Return a currency's price in US dollars and its yearly volatility; by rule where the table has none."""
    if name in STABLE:
        return 1.0, 0.0
    if name in _LEVELS:
        return _LEVELS[name]
    draw = seed_of(name) / 2.0**64
    return float(f"{10.0 ** (4.0 * draw - 2.0):.3g}"), 0.9


def _profile() -> Floats:
    """Return the share of a day's variance that falls on each minute, (1440,), sum 1: busiest at 14:30 UTC."""
    minute = np.arange(_MINUTES) / _MINUTES
    weights = 1.0 + 0.5 * np.cos(2.0 * np.pi * (minute - 14.5 / 24.0))
    return weights / weights.sum()


def _make_path(name: str) -> _Path:
    level, yearly = _level(name)
    count, calm = _LAST_DAY - _FIRST_DAY, yearly / math.sqrt(365.0)
    common = generator(seed_of("market"), 0).standard_t(5, count)
    rng = generator(seed_of(name), 0)
    own, turns, drifts, jumps = (
        rng.standard_t(5, count),
        rng.random(count),
        rng.standard_normal(count),
        rng.random(count),
    )
    shocks = (0.7 * common + math.sqrt(1.0 - 0.49) * own) * math.sqrt(0.6)  # t(5) has variance 5/3
    log_price, volatility = np.empty(count + 1), np.empty(count)
    x, drift, variance = 0.0, 0.0, calm**2
    for day in range(count):
        log_price[day], volatility[day] = x, math.sqrt(variance)
        drift = 0.25 * calm * drifts[day] if turns[day] < 1.0 / 30.0 else drift
        move = volatility[day] * shocks[day]
        x = 0.998 * x + move + drift
        variance = 0.02 * calm**2 + 0.08 * min(move**2, 16.0 * calm**2) + 0.90 * variance
    log_price[count] = x
    years = (np.arange(count + 1) + _FIRST_DAY - _TREND_DAY) / 365.25
    trend = _ANNUAL_TREND * years if yearly > 0.2 else 0.0
    gaps = np.where(jumps < 0.02, volatility * drifts * 0.3, 0.0)
    return _Path(
        seed=seed_of(name),
        log_price=math.log(level) + trend + log_price,
        volatility=volatility,
        jump_minute=(rng.random(count) * _MINUTES).astype(np.int64),
        jump=gaps,
        premium=rng.uniform(-5e-4, 5e-4, count + 1),
    )


def _make_rates(symbol: str, premium: Floats) -> Floats:
    """Return the funding rates of a perpetual from _FIRST_DAY on, three a day.

    As exchanges charge it: F = P + clamp(I - P, -0.05 %, 0.05 %), at most 0.3 %, where P is how far the contract
    stood above its index: its daily premium, and moods that last for days. They average to the interest I.
    """
    count = (_LAST_DAY - _FIRST_DAY) * 3
    shocks = generator(seed_of(f"{symbol} funding"), 0).standard_t(4, count) * 1.2e-4
    mood, moods = 0.0, np.empty(count)
    for at in range(count):
        mood = moods[at] = 0.9 * mood + shocks[at]
    stood = np.interp(np.arange(count) / 3.0, np.arange(premium.size), premium) + moods + _INTEREST
    return np.round(np.clip(stood + np.clip(_INTEREST - stood, -5e-4, 5e-4), -3e-3, 3e-3), 8)


def _premiums(
    market: Market, underlying: tuple[Floats, Floats, Floats, Floats], time: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Price an option by Black and Scholes (1973), rate 0, at each minute's open, extremes and close."""
    if market.expiry is None or market.strike is None:
        raise ConfigError(f"{market.symbol} has no expiry or strike; write it like BTC/USDT:USDT-241227-60000-C")
    call = market.option_type == "call"
    years = np.maximum(market.expiry - time, MINUTE_MS) / (365.0 * DAY_MS)
    spread, strike = _OPTION_VOLATILITY * np.sqrt(years), market.strike

    def value(spot: Floats) -> Floats:
        d1 = np.log(spot / strike) / spread + spread / 2.0
        sign = 1.0 if call else -1.0
        premium = sign * (spot * _normal_cdf(sign * d1) - strike * _normal_cdf(sign * (d1 - spread)))
        return premium / spot if market.settle == market.base else premium

    o, h, low, c = (value(price) for price in underlying)
    return (o, h, low, c) if call else (o, low, h, c)


def _normal_cdf(x: Floats) -> Floats:
    """Return the standard normal distribution function to 7.5e-8 (Abramowitz and Stegun 1964, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi) * poly
    return np.where(x >= 0.0, 1.0 - tail, tail)


def volume_decimals(market: Market) -> int:
    """How many decimals the volume of a minute has, in base."""
    return _BASE_DECIMALS if market.is_inverse else decimals_of(market.qty_step)


def decimals_of(step: float) -> int:
    """How many decimals a price or quantity on the grid of `step` has."""
    return max(0, round(-math.log10(step)))


def _market(parsed: Parsed) -> Market:
    """Make a market's rules from the size of its price: about five digits of it, and steps of about one dollar."""
    base_level, quote_level = _level(parsed.base)[0], _level(parsed.quote)[0]
    size, base_size = math.floor(math.log10(base_level / quote_level)), math.floor(math.log10(base_level))
    spot, inverse = parsed.symbol.find(":") < 0, ":" in parsed.symbol and parsed.settle == parsed.base
    option = parsed.option_type is not None
    price_decimals = max(2, 4 - size) - (0 if spot or size < 0 else 1)
    if option:
        price_decimals = 4 if inverse else max(1, price_decimals)
    qty_decimals = (
        min(8, max(0, base_size + 1)) if spot else 0 if inverse and not option else max(0, base_size - 1)
    )
    maker, taker = _SPOT_FEE if spot else _OPTION_FEE if option else _FUTURES_FEE
    real = parsed.symbol == "BTC/USD"
    futures = not spot and not option
    return Market(
        symbol=parsed.symbol,
        exchange="demo",
        type=MarketType.SPOT if spot else MarketType.OPTIONS if option else MarketType.FUTURES,
        base=parsed.base,
        quote=parsed.quote,
        settle=parsed.settle,
        contract_type=(ContractType.INVERSE if inverse else ContractType.LINEAR) if futures else None,
        price_tick=float(f"1e-{price_decimals}"),
        qty_step=float(f"1e-{qty_decimals}"),
        min_qty=float(f"1e-{qty_decimals}"),
        min_notional=0.0 if inverse or option else float(f"{5.0 / quote_level:.1g}"),
        maker=maker,
        taker=taker,
        max_leverage=100.0 if futures else 1.0,
        expiry=expiry_ms(parsed.expiry) if parsed.expiry else None,
        strike=parsed.strike,
        option_type=parsed.option_type,
        synthetic=not real,
        source=RECORDED if real else SYNTHETIC,
    )


def _read_sample() -> pd.DataFrame:
    """Read the embedded sample."""
    import pandas as pd

    from ..bars import COLUMNS

    with resources.as_file(resources.files(__package__) / "data" / "coinbase_BTCUSD_1h.parquet") as path:
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"the embedded sample {path} is damaged; install metaexpert again") from error
    return frame(table["time"].to_numpy(dtype=np.int64), [table[name].to_numpy() for name in COLUMNS])
