"""One tape through a backtest, paper and live: the same decisions at the same bars, in one table."""

from __future__ import annotations

from itertools import zip_longest
from math import sin
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lives import MINUTE, PRICE, SECOND, START, settings_of, world
from truth import differences, journaled
from warp import warped

from metaexpert import MetaExpert, crossover, crossunder
from metaexpert.bars import frame
from metaexpert.store import CandleStore, Source

if TYPE_CHECKING:
    from lives import World

    from metaexpert.models import Market

BARS = 24
SIZES = {"linear": 0.02, "inverse": 600.0, "spot": 0.02}
COURSE = {minute: round(PRICE * (1 + 0.004 * sin(minute / 1.8)), 1) for minute in range(-40, BARS + 5)}


def crosser(exchange: str, kind: str, symbol: str, made: list[tuple[Any, ...]]) -> MetaExpert:
    """Crosses of two averages: in and out, and on contracts the other way round; `made` gets what it decides."""
    expert = MetaExpert(**settings_of(exchange, kind))
    leverage = {} if kind == "spot" else {"leverage": 3}

    @expert.on_init(
        symbol=symbol, timeframe="1m", lookback_bars=20, strategy_name="tape", size_type="fixed_base",
        size_value=0.02, stop_loss_pct=5.0, **leverage,
    )  # fmt: skip
    def init() -> None:
        expert.fast, expert.slow = expert.indicator("sma", length=2), expert.indicator("sma", length=5)

    @expert.on_bar
    def bar(rates: Any) -> None:
        if not START <= rates.time < START + BARS * MINUTE:
            return
        side = expert.position().side
        if crossover(expert.fast, expert.slow):
            what = "long"
            expert.open_position("long")
        elif crossunder(expert.fast, expert.slow):
            what = "close" if kind == "spot" else "short"
            if kind == "spot":
                expert.close_position()
            else:
                expert.open_position("short")
        else:
            return
        made.append(((rates.time - START) // MINUTE, what, str(side)))

    return expert


def signaller(exchange: str, kind: str, symbol: str, made: list[tuple[Any, ...]]) -> MetaExpert:
    """The same crosses as columns; `made` gets the orders that come of them."""
    expert = MetaExpert(**settings_of(exchange, kind))

    @expert.on_init(
        symbol=symbol, timeframe="1m", lookback_bars=20, strategy_name="tape", size_type="fixed_base",
        size_value=0.02, stop_loss_pct=5.0, leverage=3,
    )  # fmt: skip
    def init() -> None:
        pass

    @expert.signals
    def signals(bars: Any) -> dict[str, Any]:
        fast, slow = bars.close.rolling(2).mean(), bars.close.rolling(5).mean()
        was_above = fast.shift() > slow.shift()
        up, down = (fast > slow) & ~was_above, (fast < slow) & was_above
        return {"long_entry": up, "long_exit": down, "short_entry": down, "short_exit": up}

    @expert.on_order
    def order(told: Any) -> None:
        bar = (told.created - START) // MINUTE - 1
        if told.status == "open" and 0 <= bar < BARS:
            made.append((bar, str(told.side), str(told.type)))

    return expert


FORMS = {"event": crosser, "signals": signaller}


async def run(
    form: str, exchange: str, kind: str, mode: str, made: list[tuple[Any, ...]]
) -> tuple[Market, list[Any], int]:
    """A run of the tape at the exchange; returns its market, its candles, and how many fills it had."""

    def make(place: World) -> MetaExpert:
        return FORMS[form](exchange, kind, place.symbol, made)

    terms = {"trade_mode": "live", "no_limits": True} if mode == "live" else {"trade_mode": "paper"}
    terms |= {} if mode == "live" else {"initial_capital": 2.0 if kind == "inverse" else 100_000.0}
    async with world(exchange, kind, make, prices=COURSE, minutes=BARS + 5, **terms) as place:
        life = place.begin()
        await place.until(START + BARS * MINUTE + 30 * SECOND)
        if mode == "live":
            assert differences(place) == []  # positions, orders, fills and money are the exchange's
            assert len(place.fills) == len(journaled(place, "fill"))
            for ours, theirs in zip(journaled(place, "fill"), place.fills, strict=True):
                assert (ours[3], ours[5], ours[6]) == (theirs.client_id, theirs.qty, theirs.price)
        fills = len(journaled(place, "fill"))
        assert await place.stop() == "user_stop"
        async with place.gateway(life.run.job.exchange, life) as gateway:
            rows = await gateway.candles(place.symbol, "1m", START - 30 * MINUTE, 30 + BARS)
            return await gateway.market(place.symbol), rows, fills


def table(columns: dict[str, list[tuple[Any, ...]]]) -> str:
    """The decisions of all modes side by side."""
    rows = [" | ".join(f"{name:22}" for name in columns)]
    rows += [
        " | ".join(f"{f'bar {bar}: {what}, {side}':22}" for bar, what, side in row)
        for row in zip_longest(*columns.values(), fillvalue=("-", "", ""))
    ]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("form", "exchange", "kind"),
    [
        ("event", "binance", "linear"),
        ("event", "bybit", "inverse"),
        ("event", "okx", "spot"),
        ("event", "bitget", "linear"),
        ("event", "kucoin", "linear"),
        ("signals", "bybit", "linear"),
    ],
)
def test_a_tape_gives_the_same_decisions_in_a_backtest_on_paper_and_live(
    home, monkeypatch, record_property, form, exchange, kind
):
    columns: dict[str, list[tuple[Any, ...]]] = {"backtest": [], "paper": [], "live": []}
    _, _, on_paper = warped(run(form, exchange, kind, "paper", columns["paper"]))
    market, rows, live = warped(run(form, exchange, kind, "live", columns["live"]))
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    data = np.array(rows)
    candles = frame(data[:, 0].astype(np.int64), list(data.T[1:]))
    CandleStore().append(market, "1m", candles, source=Source("the tape"))
    expert = FORMS[form](exchange, kind, market.symbol, columns["backtest"])
    expert.backtest(start=START - MINUTE, capital=2.0 if kind == "inverse" else 100_000.0)
    what = f"{exchange} {kind}, {form}, {live} fills live and {on_paper} on paper"
    record_property("figures", f"{what}\n{table(columns)}")
    assert columns["backtest"] == columns["paper"] == columns["live"]
    assert len(columns["live"]) >= 4
    assert live >= 3
