"""What holds of every run, whatever the market does and the expert tries."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lab import HOUR, START, SYMBOLS, Auditor, candles, expert, keep

from metaexpert.models import ExitReason, Fill

COMMON = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))


@contextmanager
def fresh_home():
    """A data folder for one example: the fixture's would be shared by all of them."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setenv("METAEXPERT_HOME", folder)
        patch.setattr("os.fsync", lambda handle: None)  # nothing here needs to outlive the power
        yield


seeds = st.integers(0, 2**32 - 1)
"""Hypothesis chooses how many bars and orders there are, and shrinks that; a generator seeded by it fills them in.

Lists that hypothesis fills itself stay nearly empty, and an expert that does not trade proves nothing.
"""


# -- random markets -----------------------------------------------------------------------------------------------


def _shape(dice):
    """(gap, body, upper and lower shadow) of a bar, as shares of its price."""
    kind = dice.random()
    if kind < 0.1:
        return 0.0, 0.0, 0.0, 0.0
    if kind < 0.6:
        return 0.0, dice.uniform(-0.02, 0.02), dice.uniform(0, 0.02), dice.uniform(0, 0.02)
    if kind < 0.95:
        gap = dice.choice([0.0, dice.uniform(-0.1, 0.1)])
        return gap, dice.uniform(-0.08, 0.08), dice.uniform(0, 0.1), dice.uniform(0, 0.1)
    return dice.uniform(-0.9, 2.0), dice.uniform(-0.5, 1.0), dice.uniform(0, 0.5), dice.uniform(0, 0.5)


@st.composite
def markets(draw, least=3, most=20):
    """Candles that hang together from 100 on: quiet, flat, gappy and wild ones."""
    dice, price, bars = Random(draw(seeds)), 100.0, []
    for _ in range(draw(st.integers(least, most))):
        gap, body, up, down = _shape(dice)
        open_ = max(round(price * (1 + gap), 2), 0.05)
        close = max(round(open_ * (1 + body), 2), 0.05)
        high = max(open_, close, round(max(open_, close) * (1 + up), 2))
        low = max(0.01, min(open_, close, round(min(open_, close) * (1 - down), 2)))
        bars.append((open_, high, low, close))
        price = close
    return bars


# -- random experts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    """One thing that a random expert does: at a bar, or when it hears of its next fill."""

    bar: int
    on_fill: bool
    verb: str
    which: int  # symbol, order
    share: float | None  # notional over capital; None: sized by the settings
    price: float | None  # distance from the last close
    stop_price: float | None
    stop_loss: float | None
    take_profit: float | None
    reduce_only: bool
    post_only: bool
    tif: str


VERBS = (
    ["buy"] * 5 + ["sell"] * 5 + ["long", "short", "close", "part", "all", "cancel", "clear", "modify", "protect"]
)


@st.composite
def scripts(draw, most=30):
    """What a random expert does."""
    dice = Random(draw(seeds))

    def maybe(chance, low, high):
        return dice.uniform(low, high) if dice.random() < chance else None

    return [
        Action(
            bar=dice.randrange(8),
            on_fill=dice.random() < 0.25,
            verb=dice.choice(VERBS),
            which=dice.randrange(4),
            share=maybe(0.7, 0.001, 1.2),
            price=maybe(0.5, -0.05, 0.05),
            stop_price=maybe(0.3, -0.05, 0.05),
            stop_loss=maybe(0.3, 0.001, 0.1),
            take_profit=maybe(0.3, 0.001, 0.1),
            reduce_only=dice.random() < 0.2,
            post_only=dice.random() < 0.2,
            tif=dice.choice(["GTC"] * 6 + ["IOC", "FOK"]),
        )
        for _ in range(draw(st.integers(4, most)))
    ]


class Player:
    """Does what a script says, on the run's own prices."""

    def __init__(self, run, script, capital, tell=lambda order: None):
        self.run, self.script, self.capital, self.tell = run, script, capital, tell
        self.bar, self.sent = -1, []

    def on_bar(self, bar):
        if bar.symbol != self.run.symbols[0]:
            return
        self.bar += 1
        for action in self.script:
            if action.bar == self.bar and not action.on_fill:
                self.do(action)

    def on_transaction(self, order, result):
        if isinstance(result, Fill):
            for action in self.script:
                if action.on_fill and action.bar == max(self.bar, 0) and result.id % 4 == action.which:
                    self.do(action)

    def do(self, action):
        run = self.run
        symbol = run.symbols[action.which % len(run.symbols)]
        side = ("long", "short")[action.bar % 2] if run._trader("script").hedge else None
        position = run.position(symbol, side)
        last = position.mark_price
        if last is None:
            return
        match action.verb:
            case "buy" | "sell" | "long" | "short":
                self.enter(action, symbol, last)
            case "close":
                self.tell(run.close_position(symbol, side))
            case "part":
                qty = abs(position.qty) * min(action.share or 0.5, 1.0)
                if qty > 0.0:
                    self.tell(run.close_position(symbol, side, qty))
            case "all":
                for order in run.close_all_positions():
                    self.tell(order)
            case "cancel" | "modify" if self.sent:
                order = self.sent[action.which % len(self.sent)]
                if action.verb == "cancel":
                    run.cancel_order(order)
                elif run.modify_order(order, price=last * (1 + (action.price or 0.01))):
                    self.tell(order)
            case "clear":
                run.cancel_all_orders()
            case "protect":
                away, near = action.stop_loss or 0.05, action.take_profit
                sign = -1 if position.is_short else 1
                run.modify_position(
                    symbol,
                    side=side,
                    stop_loss=last * (1 - sign * away),
                    take_profit=None if near is None else last * (1 + sign * near),
                    trailing_stop=away * 100 if action.post_only else None,
                )
            case _:
                pass

    def enter(self, action, symbol, last):
        run = self.run
        buys = action.verb in ("buy", "long")
        sign = 1 if buys else -1
        price = None if action.price is None else last * (1 + action.price)
        stop_price = None if action.stop_price is None else last * (1 + action.stop_price)
        base = price or stop_price or last
        qty = None
        if action.share is not None:
            worth = self.capital * action.share
            qty = worth * last if run.market(symbol).is_inverse else worth / last
        post_only = action.post_only and price is not None
        terms: dict[str, Any] = {
            "symbol": symbol,
            "price": price,
            "stop_price": stop_price,
            "stop_loss": None if action.stop_loss is None else base * (1 - sign * action.stop_loss),
            "take_profit": None if action.take_profit is None else base * (1 + sign * action.take_profit),
            "post_only": post_only,
            "tif": "GTC" if post_only else action.tif,
        }
        if action.verb in ("long", "short"):
            order = run.open_position(action.verb, qty, **terms)
        else:
            order = (run.buy if buys else run.sell)(qty, reduce_only=action.reduce_only, **terms)
        self.tell(order)
        self.sent.append(order)


# -- random settings ----------------------------------------------------------------------------------------------


@st.composite
def setups(draw, kinds=("spot", "linear", "inverse", "option")):
    """(kind, settings of the exchange, of the strategy, of the run)."""
    kind = draw(st.sampled_from(kinds))
    own = {
        "timeframe": "1h",
        "max_positions_per_symbol": 50,
        "fee_maker": draw(st.sampled_from([0.0, 0.0002, -0.0001])),
        "fee_taker": draw(st.sampled_from([0.0, 0.001])),
        "slippage_pct": draw(st.sampled_from([0.0, 0.1, 2.0])),
        "limit_fill": draw(st.sampled_from(["through", "touch"])),
        "size_value": draw(st.sampled_from([0.1, 0.5, 1.0])),
    }
    if draw(st.booleans()):
        own["stop_loss_pct"] = draw(st.sampled_from([1.0, 5.0, 40.0]))
    if draw(st.booleans()):
        own["take_profit_pct"] = draw(st.sampled_from([2.5, 5.0]))
    if draw(st.booleans()):
        own["trailing_stop_pct"] = draw(st.sampled_from([1.0, 4.0]))
        own["trailing_activation_pct"] = draw(st.sampled_from([None, 1.0]))
    if draw(st.booleans()):
        own["breakeven_pct"] = 1.5
    if draw(st.booleans()):
        own["max_drawdown_pct"] = 0.3
    if draw(st.booleans()):
        own["daily_loss_limit"] = 20.0
    exchange = {}
    if kind not in ("spot", "option"):
        own["leverage"] = draw(st.sampled_from([1.0, 3.0, 10.0, 100.0]))
        own["funding_rate"] = draw(st.sampled_from([None, 0.001, -0.01]))
    if kind != "spot":
        exchange["margin_mode"] = draw(st.sampled_from(["isolated", "cross"]))
        exchange["position_mode"] = draw(st.sampled_from(["oneway", "oneway", "hedge"]))
    return kind, exchange, own, draw(st.booleans())


SHARES = st.sampled_from([None, None, 20.0, 100.0])
"""`max_fill_volume_pct`: every bar of these markets has a volume of one."""


def scaled(kind, bars):
    """The prices of what is traded: premiums are a tenth of their underlying's."""
    return [tuple(price / 10 for price in bar) for bar in bars] if kind == "option" else bars


def play(setup, bars, script, *, other=(), auditor=False, timeframes=()):
    """Run a script over candles; returns the result and its auditor or player."""
    kind, exchange, own, close_at_end = setup
    symbols = SYMBOLS[kind][: 2 if other and kind != "inverse" else 1]
    for symbol, prices in zip(symbols, (bars, other), strict=False):
        keep(symbol, scaled(kind, prices))
    if kind == "option":
        keep("BTC/USDT", bars)
    run = expert(kind, **exchange)
    run.on_init(symbol=list(symbols), **own)(lambda: None)
    capital = 10.0 if kind == "inverse" else 1000.0
    books = None
    if auditor:
        isolated = exchange.get("margin_mode", "cross") == "isolated"
        books = Auditor(run, capital, own.get("leverage", 1.0), isolated=isolated)
        books.hedge = exchange.get("position_mode") == "hedge"
    player = Player(run, script, capital, books.sent if books else lambda order: None)
    run.on_bar(player.on_bar)
    run.on_transaction(player.on_transaction)
    for timeframe in timeframes:
        run.on_bar(timeframe=timeframe)(lambda bar: None)
    result = run.backtest(capital=capital, close_at_end=close_at_end)
    return result, books or player


# -- the properties -----------------------------------------------------------------------------------------------


@settings(COMMON, max_examples=120)
@given(setups(), markets(), markets(), scripts(), st.sampled_from([(), ("2h",)]), SHARES)
def test_the_books_agree_at_every_event(setup, bars, other, script, timeframes, share):
    """Cash + positions - fees + funding = equity; fills lie in their bar, after their order; orders end once."""
    setup[2]["max_fill_volume_pct"] = share
    with fresh_home():
        result, auditor = play(setup, bars, script, other=other, auditor=True, timeframes=timeframes)
    frames = {
        symbol: candles(scaled(setup[0], prices))
        for symbol, prices in zip(SYMBOLS[setup[0]], (bars, other), strict=False)
    }
    auditor.conclude(result, frames)
    assert auditor.checks >= len(result.record.time)


@COMMON
@given(setups(), markets(), markets(), scripts(15))
def test_the_same_run_twice_gives_the_same_bytes(setup, bars, other, script):
    with fresh_home():
        first, second = (play(setup, bars, script, other=other)[0] for _ in range(2))
        assert first.record.fills == second.record.fills
        assert first.record.orders == second.record.orders
        assert first.to_json() == second.to_json()


@COMMON
@given(setups(), markets(4, 12), markets(4, 12), scripts(15), st.data())
def test_the_future_changes_nothing_of_the_past(setup, bars, future, script, data):
    """Runs over the same candles up to a bar, and any others after it, are told the same up to its close."""
    split = data.draw(st.integers(1, len(bars)))
    until = START + split * HOUR

    def told(prices):
        _, auditor = play(setup, prices, script, auditor=True)
        ends = [i for i, one in enumerate(auditor.heard) if one.event == "bar" and one.now == until]
        if ends:
            return auditor.heard[: ends[0] + 1]
        return [one for one in auditor.heard if one.now < until]  # a loss limit has stopped the expert before

    with fresh_home():
        assert told(bars) == told([*bars[:split], *future])


@COMMON
@given(setups(), markets(), scripts(15))
def test_without_costs_gross_is_net(setup, bars, script):
    kind, exchange, own, close = setup
    free = own | {"fee_maker": 0.0, "fee_taker": 0.0, "slippage_pct": 0.0, "liquidation_fee_rate": 0.0}
    free["funding_rate"] = None
    with fresh_home():
        result, _ = play((kind, exchange, free, close), bars, script)
    assert result.costs.net == result.costs.gross
    assert (result.costs.fees, result.costs.slippage) == (0.0, 0.0)


# -- symmetry -----------------------------------------------------------------------------------------------------


@st.composite
def grids(draw):
    """Bars on a grid of 1/4 around 1000, never without a body: a flat bar has no direction to mirror."""
    dice, close, bars = Random(draw(seeds)), 1000.0, []
    for _ in range(draw(st.integers(2, 16))):
        open_ = close + dice.choice([-1, 0, 0, 1]) * dice.randint(1, 40) / 4
        close = open_ + dice.choice([-1, 1]) * dice.randint(1, 40) / 4
        bars.append(
            (
                open_,
                max(open_, close) + dice.randint(0, 40) / 4,
                min(open_, close) - dice.randint(0, 40) / 4,
                close,
            )
        )
    return bars


@dataclass(frozen=True)
class Plain:
    """An order at exact prices: distances from 1000."""

    bar: int
    side: int
    qty: float
    price: float | None
    stop_price: float | None
    stop_loss: float | None
    take_profit: float | None
    reduce_only: bool


@st.composite
def plain_scripts(draw, reduces=0.2):
    """Orders at exact prices, about as many as bars."""
    dice = Random(draw(seeds))

    def maybe(chance, low, high):
        return dice.randint(low, high) / 4 if dice.random() < chance else None

    return [
        Plain(
            bar=dice.randrange(14),
            side=dice.choice([1, -1]),
            qty=dice.choice([0.25, 0.5, 1.0]),
            price=maybe(0.4, -60, 60),
            stop_price=maybe(0.3, -60, 60),
            stop_loss=maybe(0.3, 1, 60),
            take_profit=maybe(0.3, 1, 60),
            reduce_only=dice.random() < reduces,
        )
        for _ in range(draw(st.integers(1, 14)))
    ]


def play_plain(kind, bars, script, *, sign=1, pieces=1, taker=0.0, slippage=0.0, scale=1.0):
    """Run plain orders; `sign` -1 mirrors them at 1000, `pieces` splits each into equal ones."""
    symbol = SYMBOLS[kind][0]
    keep(symbol, bars, qty_step=2.0**-10, price_tick=0.25)
    run = expert(kind)
    fees = {"fee_maker": taker, "fee_taker": taker, "slippage_pct": slippage}
    run.on_init(symbol=symbol, timeframe="1h", max_positions_per_symbol=1000, **fees)(lambda: None)

    def at(offset):
        return None if offset is None else 1000.0 + sign * offset

    @run.on_bar
    def bar(rates):
        index = (rates.time - START) // HOUR
        for order in script:
            if order.bar != index:
                continue
            entry = order.price if order.price is not None else order.stop_price
            base = entry if entry is not None else sign * (rates.close - 1000.0)
            send = run.buy if order.side * sign > 0 else run.sell
            for _ in range(pieces):
                send(
                    order.qty * scale / pieces,
                    at(order.price),
                    at(order.stop_price),
                    stop_loss=None if order.stop_loss is None else at(base - order.side * order.stop_loss),
                    take_profit=None if order.take_profit is None else at(base + order.side * order.take_profit),
                    reduce_only=order.reduce_only,
                )

    capital = 1e6 if kind == "linear" else 1e4
    return run.backtest(capital=capital, close_at_end=True)


def mirrored(bars):
    """The market upside down at 1000."""
    return [tuple(2000.0 - price for price in (open_, low, high, close)) for open_, high, low, close in bars]


@COMMON
@given(grids(), plain_scripts())
def test_a_short_mirrors_a_long(bars, script):
    with fresh_home():
        up = play_plain("linear", bars, script)
        down = play_plain("linear", mirrored(bars), script, sign=-1)
    assert [(fill.qty, 2000.0 - fill.price, fill.side.opposite, fill.reason) for fill in down.record.fills] == [
        (fill.qty, fill.price, fill.side, fill.reason) for fill in up.record.fills
    ]
    profits = [trade.pnl for trade in up.record.trades]
    assert [trade.pnl for trade in down.record.trades] == pytest.approx(profits, abs=1e-9)  # an average of thirds
    assert down.record.equity.tolist() == pytest.approx(up.record.equity.tolist(), abs=1e-9)


@COMMON
@given(grids(), plain_scripts())
def test_an_inverse_short_mirrors_a_long_to_first_order(bars, script):
    """Within 4 % of one price 1 / p is straight but for (move / price) ** 2."""
    assume(all(abs(price - 1000.0) <= 40.0 for bar in bars for price in bar))
    with fresh_home():
        up = play_plain("inverse", bars, script, scale=1000.0)
        down = play_plain("inverse", mirrored(bars), script, sign=-1, scale=1000.0)
    assert len(up.record.trades) == len(down.record.trades)
    for long, short in zip(up.record.trades, down.record.trades, strict=True):
        volume = sum(fill.qty / 1000.0 for fill in up.record.fills)
        assert long.side != short.side
        assert long.pnl == pytest.approx(short.pnl, abs=4 * 0.04**2 * volume + 1e-9)


@COMMON
@given(grids(), plain_scripts(reduces=0.0), st.sampled_from([0.0, 0.001]))
def test_an_order_in_two_pieces_earns_what_it_earns_whole(bars, script, fee):
    """Without reduce_only orders, which end where a first piece closes what the whole would reverse."""
    with fresh_home():
        whole = play_plain("linear", bars, script, taker=fee)
        halves = play_plain("linear", bars, script, taker=fee, pieces=2)
    assert halves.record.equity.tolist() == pytest.approx(whole.record.equity.tolist(), abs=1e-6)
    assert halves.record.balance[-1] == pytest.approx(whole.record.balance[-1], abs=1e-6)


@COMMON
@given(setups(("linear",)), grids(), scripts(12), st.sampled_from([-8, -2, 3, 10]))
def test_scaling_prices_leaves_returns_unchanged(setup, bars, script, power):
    """Prices times a power of two, steps with them: every ratio of floats stays what it was."""
    k = 2.0**power
    kind, exchange, own, close = setup
    runs = []
    with fresh_home():
        for factor in (1.0, k):
            symbol = SYMBOLS[kind][0]
            scaled = [tuple(price * factor for price in bar) for bar in bars]
            keep(symbol, scaled, qty_step=2.0**-20 / factor, price_tick=0.25 * factor)
            run = expert(kind, **exchange)
            run.on_init(symbol=symbol, **own)(lambda: None)
            player = Player(run, script, 1000.0)
            run.on_bar(player.on_bar)
            run.on_transaction(player.on_transaction)
            runs.append(run.backtest(capital=1000.0, close_at_end=close))
    plain, other = (run.record for run in runs)
    assert other.equity.tolist() == plain.equity.tolist()
    assert [fill.price for fill in other.fills] == [fill.price * k for fill in plain.fills]
    assert [trade.return_pct for trade in other.trades] == [trade.return_pct for trade in plain.trades]


def test_the_properties_see_every_kind_of_event():
    """The random experts above are worth nothing if they only ever hold or are refused."""
    wanted = {
        "reasons": {
            ExitReason.ORDER, ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT, ExitReason.TRAILING_STOP,
            ExitReason.LIQUIDATION, ExitReason.END, ExitReason.EXPIRY,
        },
        "statuses": {"open", "filled", "canceled", "rejected", "expired"},
        "makers": {True, False},
        "parts": {"open", "filled", "canceled"},
        "sides": {"long", "short"},
        "legs": {None, "long", "short"},
        "funded": {-1, 0, 1},
    }  # fmt: skip
    seen = {
        "reasons": set(),
        "statuses": set(),
        "makers": set(),
        "sides": set(),
        "traded": set(),
        "legs": set(),
        "funded": set(),
        "parts": set(),
    }

    @settings(COMMON, max_examples=1_000, derandomize=True, database=None)
    @given(setups(), markets(12), markets(12), scripts(), SHARES)
    def look(setup, bars, other, script, share):
        if all(seen[name] >= values for name, values in wanted.items()):
            return  # how soon depends on what hypothesis has read of the modules that are loaded
        setup[2]["max_fill_volume_pct"] = share
        with fresh_home():
            result, _ = play(setup, bars, script, other=other)
        seen["reasons"] |= {fill.reason for fill in result.record.fills}
        seen["statuses"] |= {order.status.value for order in result.record.orders}
        seen["makers"] |= {fill.is_maker for fill in result.record.fills}
        seen["traded"] |= {len(result.record.fills)}
        parts = Counter(fill.order_id for fill in result.record.fills)
        seen["parts"] |= {order.status.value for order in result.record.orders if parts[order.id] > 1}
        seen["sides"] |= {trade.side for trade in result.record.trades}
        seen["legs"] |= {order.position_side for order in result.record.orders if order.filled}
        seen["funded"] |= {(trade.funding > 0.0) - (trade.funding < 0.0) for trade in result.record.trades}

    look()
    missing = {name: values - seen[name] for name, values in wanted.items() if values - seen[name]}
    assert not missing
