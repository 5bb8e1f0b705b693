"""What is asked of CCXT for each stream, and what its answers mean: data and pure functions.

An answer of CCXT is the live object of its cache, so all that is wanted is copied out of it at once. Where two
streams are parts of one subscription they ask for the same: Bybit's quotes are the top of its book (the best level
by itself would overwrite the book that CCXT keeps), Bitget's quotes and mark prices its ticker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..events import Quote, Stream, StreamKind
from ..kinds import Kind
from ..models import Bar
from ..timeframe import parse
from . import convert
from .download import served
from .lines import Channel
from .venues import Segment, segment_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..events import MarketEvent
    from ..models import Market

__all__ = ["channel_of", "events_of"]

_DEPTH = 50
"""How many levels a side of the book is told."""

_BOOKS: Mapping[str, int] = {"binance": 100, "bybit": 50, "bitget": 15, "kucoin": 50}
"""How many levels are asked for: depths that are pushed without a login; OKX has one."""
_OPTION_BOOKS: Mapping[str, int] = {"binance": 100, "bybit": 25}
_NAMED_DEPTHS = ("bybit", "bitget", "kucoin")
"""Exchanges that are told of the depth again when the subscription ends."""
_LONG_MS = 6 * 3_600_000
"""From this length on OKX has candles of two time zones, and calls those of UTC by another name."""


def channel_of(stream: Stream, market: Market) -> Channel:
    """How `stream` is watched on the exchange of `market`.

    Raises:
        ConfigError: there is no such stream there.
    """
    match stream.kind:
        case StreamKind.TRADES:
            return _trades(market)
        case StreamKind.CANDLES:
            args = market.symbol, _timeframe(stream, market)
            return Channel("watch_ohlcv", args, "un_watch_ohlcv", args)
        case StreamKind.BOOK:
            return _book(market)
        case StreamKind.QUOTES:
            return _quotes(market)
        case StreamKind.MARKS:
            return _marks(market)


def _trades(market: Market) -> Channel:
    symbol = market.symbol
    if market.exchange == "bybit" and market.is_option:
        raise ConfigError(f"the trades of {symbol} can't be watched: Bybit streams those of all options of a coin")
    if market.exchange != "binance" or market.is_option:
        return Channel("watch_trades", (symbol,), "un_watch_trades", (symbol,))
    merged = {"name": "aggTrade"}  # the ones that are served afterwards, too
    return Channel("watch_trades", (symbol, None, None, merged), "un_watch_trades", (symbol, merged))


def _timeframe(stream: Stream, market: Market) -> str:
    """The timeframe as CCXT is told it."""
    length, known = parse(stream.timeframe), served(market, Kind.CANDLES)
    if stream.timeframe not in known:
        which = f": use one of {', '.join(known)}" if known else ""
        name = venue_of(market.exchange).name
        raise ConfigError(f"{name} has no {stream.timeframe} candles of {market.symbol}{which}")
    if market.exchange == "okx" and length >= _LONG_MS:
        return f"{stream.timeframe.upper()}utc"
    return stream.timeframe


def _book(market: Market) -> Channel:
    symbol, exchange = market.symbol, market.exchange
    depth = (_OPTION_BOOKS if market.is_option else _BOOKS).get(exchange)
    last = (symbol, {"limit": depth}) if exchange in _NAMED_DEPTHS else (symbol,)
    return Channel("watch_order_book", (symbol, depth), "un_watch_order_book", last)


def _quotes(market: Market) -> Channel:
    if market.exchange == "bybit":
        return _book(market)
    if market.exchange == "bitget":
        return _ticker(market)
    several = ([market.symbol],)
    return Channel("watch_bids_asks", several, "un_watch_bids_asks", several)


def _marks(market: Market) -> Channel:
    if segment_of(market) is Segment.SPOT:
        raise ConfigError(f"{market.symbol} has no mark price: contracts have")
    if market.exchange in ("bybit", "bitget"):
        return _ticker(market)
    return Channel("watch_mark_price", (market.symbol,), "un_watch_mark_price", (market.symbol,))


def _ticker(market: Market) -> Channel:
    return Channel("watch_ticker", (market.symbol,), "un_watch_ticker", (market.symbol,))


def events_of(stream: Stream, market: Market, raw: Any, now: int) -> Sequence[MarketEvent]:
    """What an answer of CCXT tells, oldest first; `now` (ms UTC) is the time of what has none."""
    match stream.kind:
        case StreamKind.TRADES:
            return convert.trades_of(raw, market)
        case StreamKind.CANDLES:
            rows = sorted(convert.candles_of(raw, market))
            return [Bar(int(row[0]), market.symbol, stream.timeframe, *row[1:]) for row in rows]
        case StreamKind.BOOK:
            return [convert.book_of(raw, market, _DEPTH, now)]
        case StreamKind.QUOTES:
            quote = _top(raw, market, now) if "bids" in raw else _quote(raw, market, now)
            return [] if quote is None else [quote]
        case StreamKind.MARKS:
            mark = convert.mark_of(raw, market, now)
            return [] if mark is None else [mark]


def _top(raw: Any, market: Market, now: int) -> Quote | None:
    """The quote that a book begins with."""
    book = convert.book_of(raw, market, 1, now)
    if not (book.bids and book.asks):
        return None
    (bid, bid_qty), (ask, ask_qty) = book.bids[0], book.asks[0]
    return Quote(book.time, market.symbol, bid, ask, bid_qty, ask_qty)


def _quote(raw: Any, market: Market, now: int) -> Quote | None:
    """The quote of a ticker, or of the one of `market` among several."""
    return convert.quote_of(raw.get(market.symbol, raw), market, now)
