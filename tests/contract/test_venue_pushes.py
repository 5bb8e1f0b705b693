"""What the venue pushes beside documented and recorded messages: the same keys, the same kinds of values."""

from __future__ import annotations

import gzip
import json
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from venue import Venue
from venue.books import checksum
from venue.dialects.bitget import pushes as bitget
from venue.dialects.kucoin import pushes as kucoin
from venue.dialects.kucoin import reports
from venue.dialects.okx import market as okx_market
from venue.dialects.okx import pushes as okx
from venue.instruments import Kind
from venue.news import BalanceNews, Cause, Change, OrderNews
from venue.orders import Order
from venue.shapes import differences, documented

from metaexpert.clock import SimClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venue.news import News
    from venue.state import State

NOW = 1_790_000_000_000


class Life:
    """An account with a filled and a resting order, a stop and a position, and what was told meanwhile."""

    def __init__(self, exchange: str, name: str, kind: Kind) -> None:
        self.state: State = Venue(SimClock(NOW)).states[exchange]
        self.item = self.state.instrument(name, kind)
        self.news: list[News] = []
        self.state.pin(self.item, 50_000)
        self.state.listeners.append(self.news.append)
        amount = Decimal("0.1") if self.item.step < 1 else Decimal(10)
        told = {"instrument": self.item, "amount": amount}
        self.state.place(Order(**told, buy=True, client_id="filled"))
        rests = self.state.place(Order(**told, buy=True, price=Decimal(40_000), client_id="rests"))
        self.state.place(Order(**told, buy=False, trigger=Decimal(45_000), rises=False, client_id="stop"))
        self.state.cancel(rests)

    def orders(self, *changes: Change) -> list[OrderNews]:
        """Changes of ordinary orders."""
        found = [one for one in self.news if isinstance(one, OrderNews) and not one.order.conditional]
        return [one for one in found if not changes or one.change in changes]

    @property
    def stop(self) -> OrderNews:
        """The stop, which waits."""
        return next(one for one in self.news if isinstance(one, OrderNews) and one.order.conditional)

    @property
    def filled(self) -> OrderNews:
        """The fill."""
        return self.orders(Change.FILLED)[0]

    @property
    def cancelled(self) -> Order:
        """The order that was cancelled."""
        return self.orders(Change.CANCELED)[0].order

    @property
    def tape(self) -> Any:
        """The last public trade."""
        return self.state.trades(self.item, NOW - 120_000, NOW + 1)[-1]

    @property
    def candle(self) -> Any:
        """The running hour."""
        return self.state.candles(self.item, 3_600_000, NOW - 3_600_000, NOW + 1)[-1]

    @property
    def book(self) -> Any:
        """Eight levels of each side."""
        return self.state.book(self.item, 8)


@pytest.fixture(scope="module")
def lives() -> Callable[[str, str, Kind], Life]:
    """Lives by exchange and instrument, each made once."""
    made: dict[tuple[str, str, Kind], Life] = {}

    def live(exchange: str, name: str, kind: Kind) -> Life:
        key = exchange, name, kind
        return made.setdefault(key, Life(*key)) if key not in made else made[key]

    return live


def rows_of(messages: list[Any]) -> list[Any]:
    """What stands in the data of messages."""
    told = [one["data"] if "data" in one else one["d"] for one in messages]
    return [row for one in told for row in (one if isinstance(one, list) else [one])]


type Shape = tuple[str, Callable[[Life], Any], set[str]]
"""A documented case, what the venue pushes of a life, and which keys its documentation has elsewhere."""
HOUR = 3_600_000
NEWER = {
    "accAvgPx", "availEq", "baseBal", "bePx", "colBorrAutoConversion", "collateralEnabled", "collateralRestrict",
    "formulaType", "impactValue", "interestRate", "notionalUsdForBorrow", "notionalUsdForFutures",
    "notionalUsdForOption", "notionalUsdForSwap", "openAvgPx", "quoteBal", "smtSyncEq", "spotBal",
    "spotCopyTradingEq", "spotUpl", "spotUplRatio", "totalPnl", "totalPnlRatio", "triggerPxType", "usdPx",
}  # fmt: skip
"""Of OKX: what is younger than the collection."""
OKX: list[Shape] = [
    ("Unified/ExchangeData/Trades", lambda one: okx.trade(one.item, one.tape), NEWER),
    ("Unified/ExchangeData/Ticker", lambda one: okx_market.ticker_of(one.state, one.item), NEWER),
    ("Unified/ExchangeData/MarkPrice", lambda one: okx_market.mark_of(one.state, one.item), NEWER),
    ("Unified/ExchangeData/FundingRate", lambda one: okx_market.funding_of(one.state, one.item), NEWER),
    ("Unified/ExchangeData/Klines", lambda one: okx_market.candle_of(one.item, one.candle, HOUR, NOW), NEWER),
    ("Unified/Trading/Order", lambda one: okx.order(one.state, one.filled.order, one.filled.fill), NEWER),
    ("Unified/Trading/Order", lambda one: okx.order(one.state, one.cancelled, None), NEWER),
    ("Unified/Trading/AlgoOrder", lambda one: okx.algo(one.state, one.stop.order), NEWER),
    ("Unified/Trading/Position", lambda one: okx.position(one.state, one.state.held()[0]), NEWER),
    ("Unified/Trading/UserTrade", lambda one: okx.fill(one.filled.order, one.filled.fill), NEWER),
    ("Unified/Account/Balance", lambda one: okx.account(one.state, ["USDT", "BTC"]), NEWER),
]  # fmt: skip
BITGET_SPOT: list[Shape] = [
    ("Spot/Trades", lambda one: bitget.trade(one.item, one.tape), set()),
    ("Spot/Ticker", lambda one: bitget.ticker(one.state, one.item), set()),
    ("Spot/Klines", lambda one: bitget.candle(one.item, one.candle), set()),
    ("Spot/Order", lambda one: bitget.order(one.state, one.filled.order, one.filled.fill), set()),
    ("Spot/TriggerOrder", lambda one: bitget.plan(one.stop.order), set()),
    ("Spot/UserTrade", lambda one: bitget.fill(one.filled.order, one.filled.fill), set()),
    ("Spot/Balance", lambda one: bitget.money(one.state, "SPOT", "USDT"), set()),
]
BITGET: list[Shape] = [
    ("Futures/Trade", lambda one: bitget.trade(one.item, one.tape), set()),
    ("Futures/Ticker", lambda one: bitget.ticker(one.state, one.item), set()),
    ("Futures/Kline", lambda one: bitget.candle(one.item, one.candle), set()),
    ("Futures/Order", lambda one: bitget.order(one.state, one.filled.order, one.filled.fill), set()),
    ("Futures/TriggerOrder", lambda one: bitget.plan(one.stop.order), set()),
    ("Futures/UserTrade", lambda one: bitget.fill(one.filled.order, one.filled.fill), set()),
    ("Futures/Position", lambda one: bitget.position(one.state, one.state.held()[0]), set()),
    ("Futures/Balance", lambda one: bitget.money(one.state, "USDT-FUTURES", "USDT"), set()),
]
UNFIRED = {"triggerSuccess", "error"}
"""What only a stop order has that fired, or could not."""
OF_TRADES = {"accountId", "symbol", "tradeId", "orderId"}
HEDGED = {"marginMode", "positionSide", "tradeType", "oldSize"}
MARGIN = {"availableMargin", "maxWithdrawAmount"}
KUCOIN_SPOT: list[Shape] = [
    ("Spot/Trades", lambda one: kucoin.trade(one.item, one.tape), set()),
    ("Spot/Klines", lambda one: kucoin.candle(one.item, one.candle, NOW), set()),
    ("Spot/Ticker", lambda one: kucoin.ticker(one.state, one.item, 7), set()),
    ("Spot/Snapshot", lambda one: kucoin.snapshot(one.state, one.item, 7), set()),
    ("Spot/BestOffers", lambda one: kucoin.quote(one.state, one.item), set()),
    ("Spot/Book", lambda one: kucoin.depth(one.item, *one.book, 7, NOW), set()),
    ("Spot/AggBook", lambda one: kucoin.changes(one.item, *one.book, 7, NOW), set()),
    ("Spot/NewOrder", lambda one: reports.pair_order(one.orders(Change.ACCEPTED)[-1], second=True)[0], set()),
    ("Spot/OrderUpdate", lambda one: reports.pair_order(one.orders(Change.ACCEPTED)[-1], second=True)[1], set()),
    ("Spot/MatchOrder", lambda one: reports.pair_order(one.filled, second=True)[0], {"price"}),
    ("Spot/StopOrder", lambda one: reports.stop_order(one.stop), UNFIRED),
    ("Spot/Balance", lambda one: reports.balance(one.state, "USDT", PAID), OF_TRADES),
]
KUCOIN: list[Shape] = [
    ("Futures/Trades", lambda one: kucoin.trade(one.item, one.tape), set()),
    ("Futures/Tickers", lambda one: kucoin.quote(one.state, one.item), set()),
    ("Futures/PartialBook", lambda one: kucoin.depth(one.item, *one.book, 7, NOW), {"sequence", "timestamp"}),
    ("Futures/Book", lambda one: kucoin.change(one.item, "buy", one.book[0][0], 7, NOW), set()),
    ("Futures/MarkPrice", lambda one: kucoin.mark(one.state, one.item), set()),
    ("Futures/FundingRate", lambda one: kucoin.funding(one.state, one.item), set()),
    ("Futures/Order", lambda one: reports.contract_order(one.filled)[0], HEDGED),
    ("Futures/StopOrder", lambda one: reports.stop_order(one.stop), UNFIRED),
    ("Futures/Wallet", lambda one: reports.wallet(one.state, "USDT"), MARGIN),
    ("Futures/Position", lambda one: reports.position(one.state, one.state.held()[0]), set()),
    ("Unified/Position", lambda one: reports.unified_position(one.state, one.state.held()[0]), set()),
]
PAID = BalanceNews("trade_hf", "USDT", Decimal(-500), Cause.FILL)
CASES = [
    pytest.param(exchange, name, kind, *shape, id=f"{exchange} {name} {shape[0]} {place}")
    for exchange, name, kind, shapes in (
        ("okx", "BTC-USDT-SWAP", Kind.LINEAR, OKX), ("okx", "BTC-USD-SWAP", Kind.INVERSE, OKX),
        ("bitget", "BTCUSDT", Kind.SPOT, BITGET_SPOT), ("bitget", "BTCUSDT", Kind.LINEAR, BITGET),
        ("kucoin", "BTC-USDT", Kind.SPOT, KUCOIN_SPOT), ("kucoin", "XBTUSDTM", Kind.LINEAR, KUCOIN),
        ("kucoin", "XBTUSDM", Kind.INVERSE, KUCOIN),
    )
    for place, shape in enumerate(shapes)
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(("exchange", "name", "kind", "case", "pushed", "known"), CASES)
def test_messages_are_as_documented(
    shared: Path, lives: Callable[[str, str, Kind], Life], exchange: str, name: str, kind: Kind, case: str,
    pushed: Callable[[Life], Any], known: set[str],
) -> None:  # fmt: skip
    """Every pushed row has the keys and the kinds of values of the documentation's."""
    ours = json.loads(json.dumps(pushed(lives(exchange, name, kind))))
    real = rows_of(documented(shared, exchange, case))
    assert real
    assert differences(ours, real, known) == []


RECORDED: list[tuple[str, Callable[[Life], Any], set[str]]] = [
    ("/market/match:", lambda one: kucoin.trade(one.item, one.tape), set()),
    ("/market/candles:", lambda one: kucoin.candle(one.item, one.candle, NOW), set()),
    ("/market/ticker:", lambda one: kucoin.ticker(one.state, one.item, 7), set()),
    ("/market/level2:", lambda one: kucoin.changes(one.item, *one.book, 7, NOW), {"time"}),
]


@pytest.mark.shared
@pytest.mark.parametrize(("topic", "pushed", "known"), RECORDED, ids=[one[0] for one in RECORDED])
def test_kucoin_messages_are_as_recorded(
    shared: Path, lives: Callable[[str, str, Kind], Life], topic: str, pushed: Callable[[Life], Any],
    known: set[str],
) -> None:  # fmt: skip
    """A session of 2021 has the same rows; times in changes of the book are younger."""
    with gzip.open(shared / "data/ws_raw/kucoin_spot_2021-04.jsonl.gz", "rt", encoding="utf-8") as lines:
        told = [json.loads(line)["data"] for line in lines if f'"topic":"{topic}' in line and '"recv"' in line]
    ours = json.loads(json.dumps(pushed(lives("kucoin", "BTC-USDT", Kind.SPOT))))
    assert differences(ours, [one["data"] for one in told], known) == []


def test_a_checksum_covers_25_levels_in_turn() -> None:
    """Bid and ask in turn, price and amount, and the longer side's rest: `3366.1:7:3366.8:9:3368:8`."""
    bids, asks = [["3366.1", "7", "0", "3"]], [["3366.8", "9", "10", "3"], ["3368", "8", "3", "4"]]
    value = zlib.crc32(b"3366.1:7:3366.8:9:3368:8")
    assert checksum(bids, asks) == (value - 2**32 if value >= 2**31 else value)
    deep = [[str(3000 - level), "1"] for level in range(30)]
    assert checksum(deep, asks) == checksum(deep[:25], asks) != checksum(deep[:24], asks)


def test_a_kucoin_order_ends_after_its_last_match() -> None:
    """Its second version tells received, match, filled, and of a limit order that rests also that it is open."""
    life = Life("kucoin", "BTC-USDT", Kind.SPOT)
    told = [(row["type"], row["status"], row["clientOid"]) for one in life.orders()
            for row in reports.pair_order(one, second=True)]  # fmt: skip
    assert told == [
        ("received", "new", "filled"), ("match", "match", "filled"), ("filled", "done", "filled"),
        ("received", "new", "rests"), ("open", "open", "rests"), ("canceled", "done", "rests"),
    ]  # fmt: skip
    first = [row["type"] for one in life.orders() for row in reports.pair_order(one, second=False)]
    assert first == ["match", "filled", "open", "canceled"]


def test_an_okx_order_tells_a_fill_once() -> None:
    """The words of a fill are empty in every message but that of the fill itself."""
    life = Life("okx", "BTC-USDT-SWAP", Kind.LINEAR)
    rows = [okx.order(life.state, one.order, one.fill) for one in life.orders()]
    assert [bool(row["tradeId"]) for row in rows] == [False, True, False, False]
    assert (rows[1]["fillSz"], rows[1]["fillPx"], rows[1]["execType"]) == ("0.1", "50000", "T")
    assert rows[1]["fillFee"] == "-0.025"  # 0.1 contracts of 0.01 BTC at 50,000, of which 0.05 %
    assert (rows[3]["fillSz"], rows[3]["fillPx"], rows[3]["state"]) == ("0", "", "canceled")


def test_the_changes_of_a_kucoin_book_are_numbered_without_gaps() -> None:
    """Two asks and a bid after 100 are the numbers 101 to 103."""
    item = Venue(SimClock(NOW)).states["kucoin"].instrument("BTC-USDT")
    level = (Decimal(50_000), Decimal(0))
    row = kucoin.changes(item, [level], [level, level], 100, NOW)
    assert (row["sequenceStart"], row["sequenceEnd"]) == (101, 103)
    assert [one[2] for one in row["changes"]["asks"] + row["changes"]["bids"]] == ["101", "102", "103"]


@pytest.mark.parametrize(("cause", "words"), [
    ("", ("normal", "sell_single", "trade")),
    ("liquidation", ("full_liquidation", "burst_sell_single", "liquid")),
    ("settlement", ("delivery", "delivery_sell_single", "settlement")),
])  # fmt: skip
def test_an_order_of_the_exchanges_own_is_told_as_such(cause: str, words: tuple[str, str, str]) -> None:
    """OKX has a category for it, Bitget a side, KuCoin a type of its trades."""
    told: list[str] = []
    for exchange, name in (("okx", "BTC-USDT-SWAP"), ("bitget", "BTCUSDT"), ("kucoin", "XBTUSDTM")):
        state = Venue(SimClock(NOW)).states[exchange]
        item = state.instrument(name, Kind.LINEAR)
        state.pin(item, 50_000)
        one = Order(instrument=item, buy=False, amount=Decimal(10), cause=cause)
        news = OrderNews(
            one, state.fill(state.place(one), Decimal(1), Decimal(50_000), maker=False), Change.FILLED
        )
        if exchange == "okx":
            told.append(okx.order(state, one, news.fill)["category"])
        elif exchange == "bitget":
            told.append(bitget.order(state, one, news.fill)["tradeSide"])
        else:
            told.append(reports.contract_order(news)[0]["tradeType"])
    assert tuple(told) == words
