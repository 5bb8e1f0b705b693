"""One tape through a backtest and through paper trading: the same handler calls, orders and fills, byte for byte.

The tape is what the loopback exchange trades. Paper hears it over the exchange's own websockets, by CCXT; the
backtest reads the same trades and candles from the store.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import pytest
from contract.gateways import KINDS, gateway_to
from venue import Venue
from venue.streams import Stream

from metaexpert import MetaExpert, crossover, crossunder
from metaexpert.bars import frame
from metaexpert.events import PublicTrade
from metaexpert.exchanges import budget
from metaexpert.journal import JournalReader, line_of
from metaexpert.livefeed import Terms
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source
from tests.clocks import StepClock

if TYPE_CHECKING:
    from metaexpert.models import Market
    from metaexpert.running import Run

MINUTE = 60_000
START = 1_790_000_040_000 // MINUTE * MINUTE
BEGUN = START - 30_000
BARS = 40
HISTORY = 30
CAPITAL = {"spot": 10_000.0, "linear": 10_000.0, "inverse": 1.0}


class Lines:
    """A recorder that keeps the lines of a journal."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, time: int, kind: str, body: Any) -> None:
        """What came from the market is the tape."""

    def log(self, time: int, kind: str, body: Any) -> None:
        """Keep a line."""
        self.lines.append(line_of(time, kind, body))


def event_expert(exchange: str, kind: str) -> MetaExpert:
    """Crosses of two averages, with a stop, a target and a limit order now and then; stops after `BARS` bars."""
    expert = MetaExpert(exchange=exchange, log_to_console=False, **KINDS[kind][0])
    size = {"size_type": "percent_equity", "size_value": 0.3}
    leverage = {} if kind == "spot" else {"leverage": 3}

    @expert.on_init(
        symbol=KINDS[kind][1], timeframe="1m", lookback_bars=HISTORY, stop_loss_pct=0.15, take_profit_pct=0.1,
        detail_timeframe="trades", strategy_name="tape", slippage_pct=0.01, **size, **leverage,
    )  # fmt: skip
    def init() -> None:
        expert.fast, expert.slow = expert.indicator("sma", length=2), expert.indicator("sma", length=5)
        expert.count = 0

    @expert.on_bar
    def bar(rates: Any) -> None:
        expert.count += 1
        if expert.count >= BARS:
            expert.stop()
        elif crossover(expert.fast, expert.slow):
            expert.open_position("long")
        elif crossunder(expert.fast, expert.slow):
            if kind == "spot":
                expert.close_position()
            else:
                expert.open_position("short")
        elif expert.count % 7 == 0 and not expert.position():
            expert.buy(price=rates.close * 0.9998, tag="dip")

    @expert.on_tick
    def tick(tick: Any) -> None:
        if tick.time % (5 * MINUTE) == 45_000 and expert.orders:
            expert.cancel_all_orders()

    for event in ("on_order", "on_transaction", "on_position", "on_account"):
        getattr(expert, event)(_listener(event))
    expert.on_deinit(lambda reason: None)
    return expert


def signals_expert(exchange: str, kind: str) -> MetaExpert:
    """The same crosses as columns."""
    expert = MetaExpert(exchange=exchange, log_to_console=False, **KINDS[kind][0])

    @expert.on_init(
        symbol=KINDS[kind][1], timeframe="1m", lookback_bars=HISTORY, detail_timeframe="trades", stop_loss_pct=0.2,
        strategy_name="tape",
    )  # fmt: skip
    def init() -> None:
        expert.count = 0

    @expert.on_bar
    def bar(_: Any) -> None:
        expert.count += 1
        if expert.count >= BARS:
            expert.stop()

    @expert.signals
    def signals(bars: Any) -> dict[str, Any]:
        fast, slow = bars.close.rolling(2).mean(), bars.close.rolling(5).mean()
        above, below = (
            (fast > slow) & (fast.shift() <= slow.shift()),
            (fast < slow) & (fast.shift() >= slow.shift()),
        )
        short = {} if kind == "spot" else {"short_entry": below}
        return {"long_entry": above, "long_exit": below, **short}

    return expert


def _listener(event: str) -> Any:
    def listener(*_: Any) -> None:
        return None

    listener.__name__ = event
    return listener


class Tape(NamedTuple):
    """What a paper run did, and what it heard."""

    lines: list[str]
    trades: list[PublicTrade]
    candles: list[tuple[float, ...]]
    market: Market


class Played:
    """Counts what a paper run hears, so that the tape goes on when it has."""

    def __init__(self) -> None:
        self.heard = {"PublicTrade": 0, "Step": 0}  # until when, ms UTC
        self._news = asyncio.Event()

    def bind(self, process: Any) -> None:
        """Listen to the events of a process."""
        if process is None:
            return
        note = process.keeper.event

        def event(time: int, kind: str, body: Any) -> None:
            note(time, kind, body)
            if kind in self.heard:
                self.heard[kind] = body[0]
                self._news.set()

        process.keeper.event = event

    async def until(self, task: asyncio.Task[Any], now: int) -> None:
        """Wait until every trade and close up to `now` has been heard."""
        close = now // MINUTE * MINUTE if now >= START else 0
        while not task.done() and (self.heard["PublicTrade"] < now or self.heard["Step"] < close):
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait({task, news}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            assert news.done() or task.done(), f"{self.heard} at {now}"
            news.cancel()


async def paper(expert: MetaExpert, exchange: str, kind: str) -> Tape:
    """A paper run over what the venue trades, and the tape of it."""
    clock = StepClock(BEGUN)
    async with Venue(clock) as venue:
        run = expert.start("paper", paper_fills="trades", initial_capital=CAPITAL[kind])
        played, bind = Played(), run.job.bind

        def both(process: Any) -> None:
            played.bind(process)
            bind(process)

        run.job = replace(
            run.job, bind=both, clock=clock, terms=Terms(close_delay=0),
            gateway=lambda _: gateway_to(venue, exchange, kind, clock=clock),
        )  # fmt: skip
        task = asyncio.ensure_future(_end_of(run.begin()))
        heard = Stream.TRADES, Stream.CANDLE
        ready = asyncio.ensure_future(venue.sockets.until(lambda: venue.sockets.listens(exchange, *heard)))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        while not task.done():
            await venue.advance(15_000)
            await played.until(task, clock.now())
        await task
        async with gateway_to(venue, exchange, kind, clock=clock) as gateway:
            symbol = KINDS[kind][1]
            rows = await gateway.candles(symbol, "1m", START - 100 * MINUTE, 100 + BARS)
            market = await gateway.market(symbol)
    with JournalReader.open(run.journal) as journal:
        (record,) = journal.runs()
        trades = [PublicTrade(*entry.body) for entry in journal.events(record.id) if entry.kind == "PublicTrade"]
        return Tape(list(journal.lines(record.id)), trades, [row for row in rows if row[0] < clock.now()], market)


async def _end_of(run: Run) -> str:
    return await run


def since(lines: list[str], time: int) -> list[str]:
    """The lines from `time` on: before it neither side has sent an order."""
    return [line for line in lines if json.loads(line)["time"] >= time]


def keep(tape: Tape) -> None:
    """Put the tape into the store."""
    columns = np.array(tape.candles)
    candles = frame(columns[:, 0].astype(np.int64), list(columns.T[1:]))
    CandleStore().append(tape.market, "1m", candles, source=Source("the tape"))
    times = np.array([one.time for one in tape.trades])
    values = [np.array([getattr(one, name) for one in tape.trades]) for name in ("price", "qty", "side")]
    CandleStore().append(tape.market, "trades", build(Kind.TRADES, times, values), source=Source("the tape"))


@pytest.mark.parametrize(
    ("make", "exchange", "kind"),
    [
        (event_expert, "binance", "spot"),
        (event_expert, "bybit", "linear"),
        (event_expert, "okx", "inverse"),
        (signals_expert, "kucoin", "spot"),
        (signals_expert, "binance", "linear"),
        (signals_expert, "bitget", "inverse"),
    ],
)
def test_a_tape_gives_the_same_journal_in_a_backtest_and_on_paper(home, monkeypatch, exchange, kind, make):
    monkeypatch.delenv("METAEXPERT_OFFLINE", raising=False)
    monkeypatch.setattr(budget, "_BUDGETS", WeakValueDictionary())
    tape = asyncio.run(paper(make(exchange, kind), exchange, kind))
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    keep(tape)
    recorder = Lines()
    result = make(exchange, kind).backtest(start=START - MINUTE, capital=CAPITAL[kind], recorder=recorder)
    assert since(tape.lines, START) == since(recorder.lines, START)
    assert sum('"kind":"fill"' in line for line in tape.lines) >= 4
    assert len(result.record.fills) >= 4
