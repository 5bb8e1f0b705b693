"""What the exchanges answer about markets, as CCXT hands it over -> our models, in our units.

Pure functions. A field that CCXT leaves out although the exchange said it is taken from its own answer (``info``);
what can't be known is None, and what would have to be guessed is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..answers import Greeks, OptionQuote
from ..errors import ExchangeError
from ..events import Funding, MarkPrice, PublicTrade, Quote
from ..models import OrderBook, Ticker
from . import wording
from .fields import info_of, number, positive, said
from .markets import to_qty
from .venues import Segment, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..models import Market

    type Raw = Mapping[str, Any]

__all__ = [
    "book_of",
    "candles_of",
    "chain_of",
    "funding_of",
    "greeks_of",
    "mark_of",
    "next_funding_of",
    "quote_of",
    "segment_of_raw",
    "ticker_of",
    "trades_of",
]

_SIDES = {"buy": 1, "sell": -1}


def segment_of_raw(raw: Raw) -> Segment:
    """The segment of a market that CCXT describes by `raw`."""
    if raw.get("type") == "option":
        return Segment.OPTION
    if raw.get("type") == "spot":
        return Segment.SPOT
    return Segment.INVERSE if raw.get("inverse") is True else Segment.LINEAR


# --- what everybody may see -----------------------------------------------------------------------------------


def ticker_of(raw: Raw, market: Market) -> Ticker:
    """The best bid and ask and the last price; None what the exchange does not say."""
    return Ticker(
        time=int(raw.get("timestamp") or 0),
        symbol=market.symbol,
        bid=number(raw, "bid"),
        ask=number(raw, "ask"),
        last=number(raw, "last"),
        mark_price=number(raw, "markPrice"),
        index_price=number(raw, "indexPrice"),
    )


def book_of(raw: Raw, market: Market, depth: int | None = None, now: int = 0) -> OrderBook:
    """The order book with quantities in our unit; `now` (ms UTC) is its time if the exchange gives none."""

    def levels(side: Sequence[Sequence[Any]]) -> tuple[tuple[float, float], ...]:
        rows = side if depth is None else side[:depth]
        return tuple((float(row[0]), to_qty(market, float(row[1]), float(row[0]))) for row in rows)

    return OrderBook(int(raw.get("timestamp") or now), market.symbol, levels(raw["bids"]), levels(raw["asks"]))


def candles_of(raw: Sequence[Sequence[Any]], market: Market) -> list[tuple[float, ...]]:
    """Time (ms UTC), open, high, low, close, and the volume in base; rows without a price are left out.

    Where an exchange counts inverse volumes in quote they are divided by the mean of the candle's prices.
    """
    found: list[tuple[float, ...]] = []
    unit = venue_of(market.exchange).volumes.get(segment_of(market))
    for time, *prices, volume in raw:
        if None in prices:
            continue
        candle = tuple(map(float, prices))
        traded = float(volume or 0.0)
        if unit is not None:
            traded = _in_base(market, traded, unit, sum(candle) / len(candle))
        found.append((int(time), *candle, traded))
    return found


def _in_base(market: Market, volume: float, unit: str, price: float) -> float:
    qty = to_qty(market, volume, price) if unit == "amount" else volume
    return qty / price if market.is_inverse else qty


def funding_of(raw: Sequence[Raw]) -> list[tuple[int, float]]:
    """Time (ms UTC) and rate of each payment, oldest first."""
    rows = [
        (int(one["timestamp"]), float(one["fundingRate"])) for one in raw if one.get("fundingRate") is not None
    ]
    return sorted(rows)


def next_funding_of(raw: Raw, market: Market) -> Funding | None:
    """The next payment with the rate as it stands; None where it is not told."""
    time, rate = raw.get("fundingTimestamp"), number(raw, "fundingRate")
    return None if time is None or rate is None else Funding(int(time), market.symbol, rate)


def trades_of(raw: Sequence[Raw], market: Market) -> list[PublicTrade]:
    """Public trades, in the order they were made; REST and streams give the same `id`."""
    found: list[PublicTrade] = []
    own, symbol = wording.TRADE_IDS.get(market.exchange), market.symbol
    is_counted = market.contract_size != 1.0 or market.amount_step is not None
    for one in raw:
        time, price, amount = one.get("timestamp"), one.get("price"), one.get("amount")
        if time is None or price is None or amount is None:
            raise ExchangeError(f"{market.exchange}: a trade of {market.symbol} without time, price or amount")
        name = one.get("id") if own is None else said(one, *own)
        side, qty, price = _SIDES.get(one.get("side") or "", 0), float(amount), float(price)
        if is_counted:
            qty = to_qty(market, qty, price)
        found.append(PublicTrade(int(time), symbol, str(name or ""), price, qty, side))
    found.sort(key=_time)
    return found


def _time(trade: PublicTrade) -> int:
    return trade.time


# --- what streams tell besides --------------------------------------------------------------------------------


def quote_of(raw: Raw, market: Market, now: int) -> Quote | None:
    """The best bid and ask; None where a side is empty. `now` (ms UTC) is its time if the exchange gives none."""
    bid, ask = positive(raw, "bid"), positive(raw, "ask")
    if bid is None or ask is None:
        return None
    bid_qty = to_qty(market, number(raw, "bidVolume") or 0.0, bid)
    ask_qty = to_qty(market, number(raw, "askVolume") or 0.0, ask)
    return Quote(int(raw.get("timestamp") or now), market.symbol, bid, ask, bid_qty, ask_qty)


def mark_of(raw: Raw, market: Market, now: int) -> MarkPrice | None:
    """The mark and the index price of a ticker; None where it has no mark price. `now` as in `quote_of`."""
    mark, index = (positive(raw, name) or positive(info_of(raw), name) for name in ("markPrice", "indexPrice"))
    return None if mark is None else MarkPrice(int(raw.get("timestamp") or now), market.symbol, mark, index)


# --- options --------------------------------------------------------------------------------------------------


def greeks_of(raw: Raw, market: Market) -> Greeks:
    """The greeks of an option, in quote; CCXT's dict of them.

    Raises:
        ExchangeError: they are not all there.
    """
    found = _greeks(raw, market)
    if found is None:
        raise ExchangeError(f"{venue_of(market.exchange).name} tells no greeks of {market.symbol}")
    return found


def _greeks(raw: Raw, market: Market) -> Greeks | None:
    own, info = wording.GREEKS.get(market.exchange, {}), info_of(raw)
    names = ("delta", "gamma", "theta", "vega")
    greeks = {name: number(info, own[name]) if name in own else number(raw, name) for name in names}
    known = {name: value for name, value in greeks.items() if value is not None}
    if len(known) < len(names):
        return None
    return Greeks(
        time=int(raw.get("timestamp") or 0),
        symbol=market.symbol,
        mark_iv=positive(raw, "markImpliedVolatility"),
        bid_iv=positive(raw, "bidImpliedVolatility"),
        ask_iv=positive(raw, "askImpliedVolatility"),
        mark_price=number(raw, "markPrice"),
        underlying_price=positive(raw, "underlyingPrice") or positive(info, *wording.FORWARD),
        **known,
    )


def chain_of(
    quotes: Mapping[str, Raw], greeks: Mapping[str, Raw], markets: Iterable[Market]
) -> tuple[OptionQuote, ...]:
    """The options of `markets` with what is quoted, in the order of expiry, strike, call and put.

    Args:
        quotes: CCXT's option chain or tickers, by unified symbol.
        greeks: CCXT's greeks, by unified symbol.
        markets: the options that are wanted; what is not told of one is None.
    """
    wanted = sorted(markets, key=lambda one: (one.expiry or 0, one.strike or 0.0, one.option_type or ""))
    return tuple(_quote(quotes.get(one.symbol, {}), greeks.get(one.symbol, {}), one) for one in wanted)


def _quote(raw: Raw, greeks: Raw, market: Market) -> OptionQuote:
    known = _greeks(greeks, market)
    return OptionQuote(
        time=int(raw.get("timestamp") or 0),
        symbol=market.symbol,
        expiry=market.expiry or 0,
        strike=market.strike or 0.0,
        option_type=market.option_type or "",
        bid=positive(raw, "bidPrice", "bid"),
        ask=positive(raw, "askPrice", "ask"),
        last=positive(raw, "lastPrice", "last"),
        mark_price=positive(raw, "markPrice") or positive(greeks, "markPrice"),
        underlying_price=positive(raw, "underlyingPrice") or (None if known is None else known.underlying_price),
        volume=number(info_of(raw), *wording.VOLUME.get(market.exchange, ())),
        open_interest=number(raw, "openInterest"),
        greeks=known,
    )
