"""What we add to CCXT's websockets: the computing an event costs, and the time from a message to the handler.

Run it as `.venv/bin/python benchmarks/stream.py [--messages N] [--rounds N] [--json FILE]`. The same messages of
Binance's USD-M futures are given to CCXT's own message handler by turns: for bare CCXT, where a loop awaits its
`watch_...`; for `LiveFeed`, where a loop awaits its `next`; and for a paper run (feed, broker, limits, journal on
disk) whose expert hears each event in `on_tick`. No network is in between. Trades come in bursts, as those of a
busy market do, and what counts is the time until the last of a burst was heard. Then messages come one by one,
each when the one before was heard, and what counts is the time from its arrival to the handler. All times are the
processor's, so that what else the machine does is no part of them; of the turns the quickest counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
from pathlib import Path
from statistics import quantiles
from time import process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import ccxt.pro  # noqa: TID251 - the one to compare with
from aiohttp import WSMessage, WSMsgType
from common import BARE, OURS, Row, save

from metaexpert import MetaExpert
from metaexpert.clock import SimClock
from metaexpert.config import ExchangeSettings, RunSettings, build
from metaexpert.events import StreamKind
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.streams import MarketStreams
from metaexpert.livefeed import LiveFeed
from metaexpert.models import ContractType, Market, MarketType
from metaexpert.paper import trade
from metaexpert.wiring import LiveJob

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from metaexpert.events import PublicTrade

SYMBOL, NAME = "BTC/USDT:USDT", "BTCUSDT"
START = 1_790_000_000_000  # within a minute: no bar closes while it is measured
MINUTE = 60_000
BURST = 100
MARKET = Market(
    symbol=SYMBOL, exchange="binance", type=MarketType.FUTURES, contract_type=ContractType.LINEAR, base="BTC",
    quote="USDT", settle="USDT", price_tick=0.1, qty_step=0.001, max_leverage=125.0, id=NAME,
)  # fmt: skip
RAW = {
    "id": NAME, "lowercaseId": NAME.lower(), "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "settle": "USDT",
    "baseId": "BTC", "quoteId": "USDT", "settleId": "USDT", "type": "swap", "spot": False, "margin": False,
    "swap": True, "future": False, "option": False, "active": True, "contract": True, "linear": True,
    "inverse": False, "contractSize": 1.0, "precision": {"amount": 0.001, "price": 0.1}, "limits": {}, "info": {},
    "expiry": None, "strike": None, "optionType": None, "taker": 0.0005, "maker": 0.0002,
}  # fmt: skip


# --- messages -------------------------------------------------------------------------------------------------


def trades(first: int, count: int) -> list[str]:
    """Aggregated trades, a tick up and down, numbered from `first` on."""
    return [
        json.dumps({
            "e": "aggTrade", "E": START, "a": number, "s": NAME, "p": f"{60_000 + number % 7 / 10:.2f}",
            "q": "0.012", "f": number, "l": number, "T": START, "m": number % 2 == 0,
        })
        for number in range(first, first + count)
    ]  # fmt: skip


def quotes(first: int, count: int) -> list[str]:
    """Best prices, each another one than before."""
    return [
        json.dumps({
            "e": "bookTicker", "u": number, "s": NAME, "b": f"{60_000 + number % 7 / 10:.2f}", "B": "1.250",
            "a": f"{60_000.1 + number % 7 / 10:.2f}", "A": "0.830", "T": START, "E": START,
        })
        for number in range(first, first + count)
    ]  # fmt: skip


class Kind(NamedTuple):
    """A stream: its messages, how CCXT calls the wait for it, and what bare CCXT awaits."""

    messages: Callable[[int, int], list[str]]
    word: str
    method: str
    args: tuple[Any, ...]


KINDS = {
    "trades": Kind(trades, "trade::", "watch_trades", (SYMBOL, None, None, {"name": "aggTrade"})),
    "quotes": Kind(quotes, "bidask:", "watch_bids_asks", ([SYMBOL],)),
}


# --- no network -----------------------------------------------------------------------------------------------


class Silent:
    """A websocket to nowhere."""

    closed = False

    async def send_str(self, text: str) -> None:
        """Nobody hears it."""

    async def close(self) -> None:
        """It is no more."""
        self.closed = True


def muted(client: Any) -> Any:
    """A CCXT client whose websockets are connected to nowhere; `wires` are their ends on this side."""
    plain, client.wires = client.client, {}

    def made(url: str) -> Any:
        connection = plain(url)
        if not connection.connected.done():
            connection.connection = Silent()
            connection.connected.resolve(url)
            client.wires[url] = connection
        return connection

    async def funding(_: str) -> dict[str, Any]:
        return {"fundingTimestamp": START + 480 * MINUTE, "fundingRate": 0.0001}

    client.client, client.fetch_funding_rate = made, funding
    client.set_markets([RAW])
    return client


class Alone(Gateway):
    """A gateway that knows one market and asks nobody."""

    async def known(self, symbol: str) -> Market:  # noqa: ARG002
        """The one market."""
        return MARKET

    market = known

    async def server_time(self) -> int:
        """The time of the benchmark."""
        return START

    async def candles(self, *_: Any) -> list[tuple[float, ...]]:
        """One candle, so that there is a price."""
        return [(START // MINUTE * MINUTE - MINUTE, 60_000.0, 60_000.0, 60_000.0, 60_000.0, 1.0)]

    async def trades_page(self, *_: Any) -> list[PublicTrade]:
        """None: nothing was missed."""
        return []


class Still(SimClock):
    """A clock that stands: nothing is due while it is measured."""

    async def sleep_until(self, time_ms: int) -> None:
        """Wait for ever, or not at all."""
        if time_ms > self.now():
            await asyncio.get_running_loop().create_future()


# --- contestants ----------------------------------------------------------------------------------------------


class Contestant:
    """Someone who hears the messages of one stream."""

    def __init__(self, kind: str) -> None:
        self.kind = KINDS[kind]
        self.client: Any = None
        self.task: asyncio.Task[Any] | None = None
        self._heard = self._wanted = 0
        self._at = 0.0
        self._done: asyncio.Future[None] | None = None

    def connected(self, client: Any) -> Any:
        """Take a client of CCXT."""
        self.client = muted(client)
        return self.client

    def hear(self, count: int = 1) -> None:
        """Count what was heard; the last that is wanted ends the wait."""
        self._heard += count
        if self._heard >= self._wanted and self._done is not None and not self._done.done():
            self._at = process_time()
            self._done.set_result(None)

    async def begin(self, run: Coroutine[Any, Any, Any]) -> None:
        """Subscribe."""
        self.task = asyncio.create_task(run)
        while self.wire() is None:
            await asyncio.sleep(0.01)
            if self.task.done():
                self.task.result()
        await asyncio.sleep(0.2)  # whatever else it begins with

    def wire(self) -> Any:
        """The connection that the stream comes by, once it is subscribed to."""
        wires = self.client.wires.values() if self.client is not None else ()
        return next((one for one in wires if any(name.startswith(self.kind.word) for name in one.futures)), None)

    async def take(self, texts: list[str]) -> float:
        """Give it messages at once; returns the processor's seconds until the last event was heard."""
        self._wanted, self._done = self._heard + len(texts), asyncio.get_running_loop().create_future()
        wire, begun = self.wire(), process_time()
        for text in texts:
            wire.handle_message(WSMessage(WSMsgType.TEXT, text, None))
        async with asyncio.timeout(60):
            await self._done
        return self._at - begun

    async def end(self) -> None:
        """Stop."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


async def bare(one: Contestant) -> None:
    """CCXT and a loop."""
    client = one.connected(ccxt.pro.binance({"enableRateLimit": False}))
    watch = getattr(client, one.kind.method)
    try:
        while True:
            found = await watch(*one.kind.args)
            one.hear(len(found))
    finally:
        await client.close()


async def fed(one: Contestant) -> None:
    """`LiveFeed` and a loop."""
    clock = Still(START)
    kind = StreamKind.TRADES if one.kind is KINDS["trades"] else StreamKind.QUOTES
    settings = ExchangeSettings(exchange="binance", market_type="futures")
    source = MarketStreams(Alone(settings, clock=clock, client=lambda _: one.connected(connect(settings))), clock)
    feed = LiveFeed(source, clock, {SYMBOL: ["1m"]}, {kind})
    try:
        await feed.open(1)
        while True:
            await feed.next()
            one.hear()
    finally:
        await feed.close()
        await source.close()


async def whole(one: Contestant) -> None:
    """A paper run of an expert that hears of everything and does nothing."""
    expert = MetaExpert(exchange="binance", market_type="futures", contract_type="linear", log_to_console=False)

    @expert.on_init(symbol=NAME, timeframe="1m", lookback_bars=1)
    def init() -> None:
        pass

    @expert.on_tick
    def tick(_: Any) -> None:
        one.hear()

    fills = "trades" if one.kind is KINDS["trades"] else "quotes"
    clock, run = Still(START), build(RunSettings, {"trade_mode": "paper", "paper_fills": fills, "fresh": True})
    await trade(
        LiveJob(
            **expert._job(run, None, None, None),  # noqa: SLF001 - what `run` does, but with a market of our own
            gateway=lambda told: Alone(told, clock=clock, client=lambda _: one.connected(connect(told))),
            clock=clock,
        )
    )


CONTESTANTS = {BARE: bare, "LiveFeed": fed, OURS: whole}


# --- measuring ------------------------------------------------------------------------------------------------


async def measure(kind: str, messages: int, rounds: int) -> list[Row]:
    """Let the contestants take turns; a row each, of the quickest turn."""
    turns: dict[str, list[Row]] = {name: [] for name in CONTESTANTS}
    first = 1
    for number in range(rounds + 1):
        for name, run in CONTESTANTS.items():
            one = Contestant(kind)
            await one.begin(run(one))
            turn = await played(one, kind, first, messages)
            await one.end()
            if number:  # the first round warms up
                turns[name].append(turn)
        first += messages
    about = {"of": "stream", "stream": kind, "messages": messages}
    return [
        {**about, "who": name, **{key: min(turn[key] for turn in of_one) for key in of_one[0]}}
        for name, of_one in turns.items()
    ]


async def played(one: Contestant, kind: str, first: int, messages: int) -> Row:
    """One turn, in seconds: what an event costs in bursts, and how long single ones are on their way."""
    texts = one.kind.messages(first, messages)
    singles = texts[: messages // 4]
    cuts = quantiles([await one.take([text]) for text in singles], n=100)
    found = {"p50": cuts[49], "p99": cuts[98]}
    if kind != "trades":  # of quotes only the last of a burst counts
        return found
    rest = texts[len(singles) :]
    gc.collect()
    spent = [await one.take(rest[at : at + BURST]) for at in range(0, len(rest), BURST)]
    return {"seconds": sum(spent) / len(rest), **found}


def main() -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=8_000, help="messages a turn (default: 8000)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant (default: 5)")
    parser.add_argument("--json", type=Path, help="the file of figures to add to")
    options = parser.parse_args()
    os.environ.pop("METAEXPERT_OFFLINE", None)  # no host is asked
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["METAEXPERT_HOME"] = home
        for kind in KINDS:
            rows += asyncio.run(measure(kind, options.messages, options.rounds))
    for one in rows:
        spent = f"{one['seconds'] * 1e6:6.1f} us an event, " if "seconds" in one else ""
        print(
            f"{one['stream']}, {one['who']}: {spent}p50 {one['p50'] * 1e6:.0f} us, p99 {one['p99'] * 1e6:.0f} us"
        )
    save(rows, options.json)


if __name__ == "__main__":
    main()
